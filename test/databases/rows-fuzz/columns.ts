/** Types of columns, each with values that are hard to put back exactly. */
import { binaries } from '../../helpers/packages.ts'
import { LONG } from '../everything.ts'
import type { Random } from './random.ts'

export interface Column {
  readonly name: string
  readonly type: string
  /** A value as SQL, made from an integer expression that is not negative. */
  readonly value: (n: string) => string
}

/** One of the values by number, and now and then null. */
const oneOf =
  (type: string, ...values: string[]) =>
  (n: string): string =>
    `(array[${values.map((value) => `'${value}'`).join(', ')}]::${type}[])[(${n}) % ${values.length + 1} + 1]`

/** What the columns need, made by the migration. */
export const USER_TYPES = `
  create schema types;
  create type types.mood as enum ('sad', 'ok', 'it''s "fine"');
  create domain types.small as int check (value is null or value < 1000000) default 5;
  create domain types.code as char(4) not null default 'none';
  create type types.pair as (a int, b text);
  create function types.is_even(int) returns boolean language sql immutable as 'select $1 % 2 = 0';
`

const TYPES: readonly [type: string, value: (n: string) => string][] = [
  [
    'text',
    (n) => `(array['', ' ', 'ünï', E'a\\tb\\\\', 'x' || ${n}, repeat('long', 700 * (${n} % 2))])[(${n}) % 7 + 1]`,
  ],
  ['varchar(40)', (n) => `'v' || ${n}`],
  ['char(5)', oneOf('text', 'a', 'b ', '  c', '')],
  ['bpchar', oneOf('text', 'a', 'a ', 'a  ')],
  ['"char"', oneOf('text', 'a', 'b')],
  ['name', (n) => `'n' || ${n}`],
  ['boolean', (n) => `(${n}) % 2 = 0`],
  ['smallint', (n) => `(${n}) % 30000`],
  ['float8', oneOf('float8', 'NaN', '-0', '0', 'Infinity', '-Infinity', '1e-300', '0.1', '1.7976931348623157e308')],
  ['float4', oneOf('float4', 'NaN', '-0', '0', 'Infinity', '3.4028235e38', '0.1', '16777217')],
  ['numeric', oneOf('numeric', 'NaN', '1.0', '1.00', '1', '-0.000000000000000000000000000001', '1e100')],
  ['numeric(12, 3)', (n) => `(${n}) / 7.0`],
  ['date', oneOf('date', 'infinity', '-infinity', '2020-02-29', '0044-03-15 BC')],
  ['time', oneOf('time', '24:00', '00:00', '12:34:56.789012')],
  ['timetz', oneOf('timetz', '12:00+05:30', '06:30+00', '23:59:59.999999-12')],
  ['timestamp(3)', (n) => `timestamp '2020-01-01 00:00:00.0004' + (${n}) * interval '1.0004 s'`],
  [
    'timestamptz',
    oneOf('timestamptz', 'infinity', '2021-03-28 02:30:00+01', '0044-03-15 12:00+00 BC', '294276-01-01 00:00+00'),
  ],
  ['interval', oneOf('interval', '1 mon', '30 days', '720:00:00', '-1 year 2 days -00:00:00.000001')],
  ['uuid', (n) => `md5((${n})::text)::uuid`],
  ['bytea', (n) => `decode(md5((${n})::text), 'hex') || '\\x00'::bytea`],
  ['jsonb', (n) => `jsonb_build_object('n', ${n}, 'a', array['x', null], 'f', 1.00)`],
  ['json', (n) => `('{"b": 1,  "a": ' || ${n} || ', "a": null}')::json`],
  [
    'int[]',
    (n) =>
      `case (${n}) % 3 when 0 then '{}' when 1 then array[1, null, ${n}] else '[2:3][0:1]={{1,2},{3,4}}'::int[] end`,
  ],
  ['text[]', (n) => `array['', null, 'null', '{"a"}', E'\\\\', 'x,' || ${n}]`],
  ['int4range', oneOf('int4range', 'empty', '(,)', '[1,5)', '(,3]')],
  ['tstzrange', oneOf('tstzrange', 'empty', '[2020-01-01,infinity]', '(,2020-01-01 12:00+02)')],
  ['int4multirange', oneOf('int4multirange', '{}', '{[1,3),[5,9)}')],
  ['inet', oneOf('inet', '10.0.0.1/8', '::1', '10.0.0.1')],
  ['macaddr', oneOf('macaddr', '08:00:2b:01:02:03')],
  ['bit(5)', (n) => `((${n}) % 32)::bit(5)`],
  ['varbit', oneOf('varbit', '', '101', '0')],
  ['point', oneOf('point', '(0,-0)', '(1e-20,NaN)', '(0,0)')],
  ['box', oneOf('box', '(1,1),(0,0)', '(2,2),(0,0)')],
  ['polygon', oneOf('polygon', '((0,0),(1,1),(1,0))')],
  ['tsvector', oneOf('tsvector', 'a:1A b:2', 'c')],
  ['money', (n) => `(${n})::money`],
  ['pg_lsn', oneOf('pg_lsn', '0/1', 'FF/0')],
  ['oid', (n) => `(${n})::oid`],
  ['regclass', oneOf('regclass', 'pg_class', 'pg_type')],
  ['types.mood', oneOf('types.mood', 'sad', 'ok', 'it\'\'s "fine"')],
  ['types.mood[]', oneOf('text', '{sad,ok}', '{}')],
  ['types.small', (n) => `(${n}) % 1000`],
  ['types.code', (n) => `'c' || (${n}) % 10`],
  ['types.pair', (n) => `row(${n}, 'b "quoted", ''too''')::types.pair`],
  ['types.pair[]', (n) => `array[row(${n}, null)::types.pair, null]`],
]

const cast = (type: string, value: (n: string) => string): ((n: string) => string) => {
  // As a literal would be: by the type's input.
  if (/^(regclass|types\.mood\[\]|char|bpchar|"char"|time|timetz|varbit)/.test(type))
    return (n) => `(${value(n)})::text::${type}`
  return value
}

const NAMES = ['note', 'Mixed', 'select', 'with " quote', "with ' quote", 'with % and $1', 'back\\slash', 'ä', LONG]

/** Columns with names of every kind. */
export function someColumns(random: Random): Column[] {
  const amount = random.weighted([1, 0], [4, random.between(1, 4)], [1, random.between(5, 12)])
  return Array.from({ length: amount }, (_, place) => {
    const [type, value] = random.pick(TYPES)
    const base = random.pick(NAMES)
    const name = `"${`c${place} ${base}`.slice(0, 30).replaceAll('"', '""')}"`
    return { name, type, value: cast(type, value) }
  })
}

/** Columns that compute themselves. */
export function someGenerated(random: Random): string[] {
  const made: string[] = []
  if (random.chance(0.3)) made.push('twice int generated always as (n * 2) stored')
  if (random.chance(0.2)) made.push('even boolean generated always as (types.is_even(n)) stored')
  if (binaries.major >= 18 && random.chance(0.3)) made.push('thrice int generated always as (n * 3) virtual')
  return made
}
