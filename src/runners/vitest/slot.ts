/** How Vitest numbers this worker; a hint only. */
export const slot = (): string => process.env.VITEST_POOL_ID ?? String(process.pid)
