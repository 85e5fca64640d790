import { createServer } from 'node:http'
import { authenticated } from './auth.js'

const routes = {
  'GET /articles': async (client) => {
    const { rows } = await client.query({
      name: 'articles',
      text: 'select id, name, price_cents from articles order by id limit 20',
    })
    return { status: 200, body: rows }
  },
  'GET /orders': async (client, customer) => {
    const { rows } = await client.query({
      name: 'orders',
      text: 'select id, article, created_at from orders where customer = $1 order by id desc limit 10',
      values: [customer],
    })
    return { status: 200, body: rows }
  },
  'POST /orders': async (client, customer, { article }) => {
    const { rows } = await client.query({
      name: 'order',
      text: 'insert into orders (customer, article) values ($1, $2) returning id',
      values: [customer, article],
    })
    return { status: 201, body: rows[0] }
  },
}

const GONE = { status: 499, body: {} }

/** The HTTP API on services that the caller owns. */
export function createApp(services) {
  return createServer(async (request, response) => {
    let answer
    try {
      // Who has hung up while it waited needs no connection any more.
      answer = await services.limit('requests', () => (request.socket.destroyed ? GONE : handle(services, request)))
    } catch (error) {
      answer = { status: 500, body: { error: error.message } }
    }
    const text = JSON.stringify(answer.body)
    response.writeHead(answer.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    response.end(text)
  })
}

async function handle(services, request) {
  const route = routes[`${request.method} ${request.url}`]
  if (!route) return { status: 404, body: { error: 'not found' } }
  const body = request.method === 'POST' ? await readJson(request) : undefined
  return await authenticated(services, request, (client, customer) => route(client, customer, body))
}

async function readJson(request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return JSON.parse(text)
}
