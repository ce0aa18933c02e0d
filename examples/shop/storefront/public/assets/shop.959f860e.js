// Fills the page with what the app says: the files are the sidecar's, the catalogue and the orders are the app's.
'use strict';

const list = document.querySelector('#catalogue');
const ordering = document.querySelector('#ordering');

async function show() {
  const answer = await fetch('/catalogue');
  const shop = await answer.json();
  ordering.textContent = `Ordering is ${shop.ordering}.`;
  list.replaceChildren(...Object.entries(shop.catalogue).map(([item, { name, cents }]) => {
    const row = document.createElement('tr');
    row.insertCell().textContent = name;
    const price = row.insertCell();
    price.className = 'price';
    price.textContent = (cents / 100).toFixed(2);
    const button = document.createElement('button');
    button.textContent = 'Buy';
    button.onclick = () => buy(item);
    row.insertCell().append(button);
    return row;
  }));
}

async function buy(item) {
  const answer = await fetch(`/buy?item=${encodeURIComponent(item)}`, { method: 'POST' });
  const said = await answer.json();
  ordering.textContent = answer.ok ? `Order ${said.order} is placed.` : said.error;
}

show();
