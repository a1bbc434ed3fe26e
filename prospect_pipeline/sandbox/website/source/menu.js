/** The menu on narrow screens. */
export function startMenu() {
  const button = document.querySelector('.menu-button');
  const menu = document.getElementById('menu');
  const isOpen = () => menu.classList.contains('is-open');

  function show(open) {
    menu.classList.toggle('is-open', open);
    button.setAttribute('aria-expanded', String(open));
  }

  button.addEventListener('click', () => show(!isOpen()));
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented || !isOpen()) return;
    event.preventDefault(); // one Escape closes one thing
    show(false);
    button.focus();
  });
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.header')) show(false);
  });
}
