import * as v from 'valibot'
import { printable, shorten } from '../../text/text.ts'

/**
 * The words that schemas of kept data are written in. Whatever is read with them may have been written by anybody, so every
 * piece has a message of its own, which ends the sentence "`field` …": valibot's own would show the value.
 */

/** A text as PostgreSQL can hold it: without NUL. */
export const text = v.pipe(
  v.string('is no text'),
  v.check((value) => !value.includes('\0'), 'is a text with a NUL in it'),
)

/** A text that is not empty. */
export const name = v.pipe(text, v.nonEmpty('is empty'))

export const flag = v.boolean('is neither true nor false')

/** A whole number from 0 on that a JavaScript number holds exactly. */
export const count = wholeFrom(0)

/** A number from 0 on. */
export const measure = v.pipe(
  v.number('is no number'),
  v.check((value) => Number.isFinite(value) && value >= 0, 'is no number from 0 on'),
)

/** A whole number as text, of any size. */
export const digits = matching(/^-?\d{1,60}$/, 'is no whole number as text')

export function wholeFrom(least: number) {
  const message = 'is no whole number'
  return v.pipe(
    v.number(message),
    v.check((value) => Number.isSafeInteger(value) && value >= least, message),
  )
}

export function matching(pattern: RegExp, message = 'has not the form that it should have') {
  return v.pipe(v.string('is no text'), v.regex(pattern, message))
}

export function oneOf<const T extends readonly (string | number | boolean)[]>(values: T) {
  return v.custom<T[number]>(
    (value) => values.some((one) => one === value),
    `is not one of ${values.join(', ')}`,
  )
}

/** An object with these fields; others are dropped. To valibot a list is an object as well. */
export function fields<const T extends v.ObjectEntries>(entries: T) {
  return v.pipe(v.unknown(), v.check(isObject, 'is no object'), v.object(entries, 'is no object'))
}

/** A list; its length is looked at before its items. */
export function list<const T extends v.GenericSchema>(item: T, most = Number.POSITIVE_INFINITY) {
  return v.pipe(
    v.array(v.unknown(), 'is no list'),
    v.maxLength(most, `has more than ${most} entries`),
    v.array(item, 'is no list'),
  )
}

/** An object whose keys are data. valibot's `record` passes over the key `constructor` without a word. */
export function dictionary<const T extends v.GenericSchema>(item: T) {
  return v.pipe(
    v.custom<Record<string, unknown>>(isObject, 'is no object'),
    v.rawTransform(({ dataset, addIssue }) => {
      const entries: [string, v.InferOutput<T>][] = []
      for (const [key, value] of Object.entries(dataset.value)) {
        const { success, output, issues } = v.safeParse(item, value, firstOnly)
        if (success) entries.push([key, output])
        else {
          const [{ message, path = [] }] = issues
          const here = {
            type: 'object',
            origin: 'value',
            input: dataset.value,
            key,
            value,
          } as const
          addIssue({ message, path: [here, ...path] })
          return {}
        }
      }
      return Object.fromEntries(entries)
    }),
  )
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const firstOnly = { abortEarly: true, abortPipeEarly: true } as const

/**
 * Reads a text as JSON of a schema.
 *
 * @returns undefined unless it is exactly that; why it is not is nobody's concern
 */
export function jsonBy<const T extends v.GenericSchema>(
  schema: T,
  text: string,
): v.InferOutput<T> | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { success, output } = v.safeParse(schema, value)
  return success ? output : undefined
}

/**
 * Reads a value by a schema, to its first flaw.
 *
 * @param root what stands before the fields in messages, or what messages call the whole
 * @param failure makes what is thrown of a flaw: a sentence such as "`files[0].path` is no text", in one printable line without the value;
 *   its second argument is the value, for who knows that it may be shown
 */
export function readBy<const T extends v.GenericSchema>(
  schema: T,
  value: unknown,
  root: { prefix?: string; whole: string },
  failure: (flaw: string, value: unknown) => Error,
): v.InferOutput<T> {
  const { success, output, issues } = v.safeParse(schema, value, firstOnly)
  if (success) return output
  const [{ path = [], message, input, received }] = issues
  let where = root.prefix ?? ''
  for (const { key } of path) {
    if (typeof key === 'number') where += `[${key}]`
    else where += where === '' ? String(key) : `.${String(key)}`
  }
  if (path.length === 0) where = root.whole
  const words = received === 'undefined' ? 'is missing' : message
  throw failure(`\`${shorten(printable(where), 200)}\` ${words}`, input)
}
