/** Elements from words and parts; text is only ever set as text, so that it cannot become markup. */
export function element(name, properties = {}, ...parts) {
  const made = document.createElement(name);
  Object.entries(properties).forEach(([key, value]) => {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  });
  made.append(...parts.filter((part) => part !== null));
  return made;
}

export function drawn(name, attributes = {}, text = '') {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.textContent = text;
  return made;
}
