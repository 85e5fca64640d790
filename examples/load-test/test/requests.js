/** Three endpoints, as a customer with a token asks for them. */
export const requests = [
  { path: '/articles' },
  { path: '/orders' },
  { method: 'POST', path: '/orders', body: { article: 7 } },
]
export const headers = { authorization: 'Bearer token-7' }
