/** The demo form: sent to nobody; the tracker has seen it, and a thank-you takes its place. */
export function startForm(messages) {
  const form = document.getElementById('demo-form');
  const thanks = document.getElementById('thanks');
  if (!form) return;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    form.hidden = true;
    thanks.hidden = false;
    thanks.focus();
    messages.accepted();
  });
}
