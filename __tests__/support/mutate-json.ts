type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const garbage: readonly Json[] = [
  ...[null, true, false, 0, -1, 0.5, 1e300, 2 ** 53, '', 'x', '\n::error::', '-1', '💥', 'pg_x'],
  ...[[], {}, [null], [[]], [{}], { name: null }, { name: 'x' }, ['x', null], [1, 2, 3]],
]

/**
 * A copy of a value from JSON in which one thing is wrong: a part replaced by something else, taken away, or put elsewhere.
 *
 * @param next gives a whole number from 0, below its argument
 */
export function mutateJson(value: unknown, next: (below: number) => number): unknown {
  const copy = structuredClone(value) as Json
  const path: { parent: Json[] | { [key: string]: Json }; key: string }[] = []
  for (let at: Json | undefined = copy; typeof at === 'object' && at !== null; ) {
    const keys: string[] = Object.keys(at)
    const key: string | undefined = keys[next(keys.length)]
    if (key === undefined) break
    path.push({ parent: at, key })
    at = (at as { [key: string]: Json })[key]
  }
  const place = path[next(path.length)]
  if (!place) return copy
  const parent = place.parent as { [key: string]: Json }
  const kind = next(6)
  if (kind === 0 && Array.isArray(place.parent)) place.parent.splice(Number(place.key), 1)
  else if (kind === 0) delete parent[place.key]
  else if (kind === 1) {
    const other = path[next(path.length)]
    if (other)
      parent[place.key] = structuredClone(
        (other.parent as { [key: string]: Json })[other.key] ?? null,
      )
  } else parent[place.key] = garbage[next(garbage.length)] ?? null
  return copy
}
