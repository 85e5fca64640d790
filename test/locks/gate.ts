/** A promise that is resolved from outside. */
export interface Gate {
  readonly promise: Promise<void>
  open(): void
}

export function gate(): Gate {
  let open = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open: () => open() }
}

/** A section that says that it has begun and goes on until it is told to end. */
export const pass = (begun: Gate, until: Gate) => (): Promise<void> => {
  begun.open()
  return until.promise
}
