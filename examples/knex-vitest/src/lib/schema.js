// Pieces of JSON schema that several routes share.
export const id = { type: 'integer', minimum: 1, maximum: 2_147_483_647 }
export const text = { type: 'string', minLength: 1, maxLength: 200 }
export const date = { type: 'string', format: 'date' }
export const cents = { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }

export const params = (...names) => ({
  type: 'object',
  required: names,
  properties: Object.fromEntries(names.map((name) => [name, id])),
})

export const object = (properties, required = []) => ({
  type: 'object',
  required,
  properties,
  additionalProperties: false,
})
