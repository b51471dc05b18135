/**
 * The only script of the page: a field that filters the list of tables by their names. It makes the field itself, so that
 * without script nothing promises what does not work. Every list opens while something is searched for.
 */
export const searchScript = `
'use strict';
const section = document.getElementById('tables');
if (section) {
  const rows = Array.from(section.querySelectorAll('tbody tr'), (row) => ({
    row, text: row.cells[0].textContent.toLowerCase(),
  }));
  const lists = Array.from(section.querySelectorAll('details'), (list) => ({ list, open: list.open }));
  const label = document.createElement('label');
  label.className = 'search';
  label.append('Search the tables ');
  const field = document.createElement('input');
  field.type = 'search';
  field.autocomplete = 'off';
  field.spellcheck = false;
  label.append(field);
  const found = document.createElement('output');
  label.append(found);
  section.querySelector('h2').after(label);
  let before = '';
  field.addEventListener('input', () => {
    const wanted = field.value.trim().toLowerCase();
    if (wanted === before) return;
    if (before === '') for (const one of lists) one.open = one.list.open;
    before = wanted;
    let count = 0;
    for (const { row, text } of rows) {
      const isFound = text.includes(wanted);
      if (isFound) count += 1;
      if (row.hidden === isFound) row.hidden = !isFound;
    }
    for (const { list, open } of lists) {
      const holds = wanted === '' || list.querySelector('tbody tr:not([hidden])') !== null;
      list.hidden = !holds;
      list.open = wanted === '' ? open : holds;
    }
    found.textContent = wanted === '' ? '' : count + (count === 1 ? ' table' : ' tables');
  });
}
`
