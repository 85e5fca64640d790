const CURRENCIES = [
  { code: 'CHF', name: 'Swiss franc', minor_units: 2 },
  { code: 'EUR', name: 'Euro', minor_units: 2 },
  { code: 'GBP', name: 'Pound sterling', minor_units: 2 },
  { code: 'JPY', name: 'Yen', minor_units: 0 },
  { code: 'USD', name: 'US dollar', minor_units: 2 },
]

const EXCHANGE_RATES = [
  { base: 'EUR', quote: 'USD', rate: 1.1 },
  { base: 'EUR', quote: 'GBP', rate: 0.85 },
  { base: 'EUR', quote: 'CHF', rate: 0.95 },
  { base: 'USD', quote: 'EUR', rate: 0.909091 },
]

export async function seed(knex) {
  await knex('currencies').insert(CURRENCIES).onConflict('code').merge()
  await knex('exchange_rates').insert(EXCHANGE_RATES).onConflict(['base', 'quote']).merge()
}
