/**
 * `.ci/run` has 20 minutes on two processors, so it sets TESTDB_TEST_ALL=0 and leaves out what vitest.config.ts lists, and here the
 * ways to die that end like another one. Single files leave out more, and say what. `npm test` leaves nothing out.
 */
export const isShort = process.env.TESTDB_TEST_ALL === '0'

/** SIGTERM ends like SIGKILL, a little later, and who was cut and overtaken like who was cut. */
const LEFT_OUT: readonly unknown[] = ['SIGTERM', 'cut, taken over']

/** The ways to die that are to be played. */
export const ways = <T>(all: readonly T[]): T[] => all.filter((how) => !isShort || !LEFT_OUT.includes(how))
