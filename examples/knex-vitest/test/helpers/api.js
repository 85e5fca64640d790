/** Sends requests to the app without a socket: `await api.post('/scenarios', {…})` → { status, body }. */
export function apiClient(app, token) {
  const send = async (method, url, payload) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    const response = await app.inject({ method, url, payload, headers })
    const isJson = response.headers['content-type']?.startsWith('application/json')
    return { status: response.statusCode, body: isJson ? response.json() : response.body, headers: response.headers }
  }

  return {
    get: (url) => send('GET', url),
    post: (url, payload) => send('POST', url, payload),
    put: (url, payload) => send('PUT', url, payload),
    patch: (url, payload) => send('PATCH', url, payload),
    delete: (url) => send('DELETE', url),
  }
}
