/** How a test stands when its after-hooks run. */

/** With retries an earlier try's errors are still listed; the state is this try's. Of `test.fails` it is turned around later. */
export const hasFailed = (task: {
  readonly fails?: boolean | undefined
  readonly result?: { readonly state?: string } | undefined
}): boolean => (task.result?.state === 'fail') !== (task.fails === true)
