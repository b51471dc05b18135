/**
 * What the roles of a source are called on a target. A role that is the server's own (`pg_…`) and PUBLIC, be it written
 * `public` or as the empty name of catalogs, are called the same everywhere.
 */
export interface RoleNames {
  /** The name on the target of a role of the source. */
  onTarget(source: string): string
  /**
   * The role of the source that a role of the target stands for. For one that stands for none, its own name, marked where the
   * source has a role of that name as well: the two must never be taken for one.
   */
  onSource(target: string): string
  /** A text about the target, a message of its server say, with the source's names in it. */
  inText(text: string): string
}

/** Every role is called the same on both sides. */
export const sameRoleNames: RoleNames = {
  onTarget: (source) => source,
  onSource: (target) => target,
  inText: (text) => text,
}

/** The longest name that a server keeps, in bytes (PostgreSQL, "Identifiers and Key Words"). */
const longestName = 63

/** What is called the same everywhere. */
const isShared = (name: string) => name === '' || name === 'public' || name.startsWith('pg_')

/**
 * Names of a run for the roles of a source: `<prefix>_r1`, `<prefix>_r2` and so on, in the order given. A role that was not
 * given (one made while the source was read, say) gets the next number when it is met, so that its name never falls back on
 * a role that the target happens to have.
 *
 * @param prefix of the run, in what names need no quotes for: `rehearsal_202611290230_1f2e3d4c`
 * @param names of the source's roles
 * @throws RangeError where the names would be longer than 63 bytes, which a server would cut
 */
export function renamedRoles(prefix: string, names: readonly string[]): RoleNames {
  if (!/^[a-z][a-z0-9_]*$/.test(prefix) || prefix.startsWith('pg_'))
    throw new RangeError(`"${prefix}" cannot begin the names of roles`)
  const toTarget = new Map<string, string>()
  const toSource = new Map<string, string>()
  const onTarget = (source: string): string => {
    if (isShared(source)) return source
    const known = toTarget.get(source)
    if (known !== undefined) return known
    const name = `${prefix}_r${toTarget.size + 1}`
    if (Buffer.byteLength(name) > longestName)
      throw new RangeError(`"${name}" is longer than ${longestName} bytes`)
    toTarget.set(source, name)
    toSource.set(name, source)
    return name
  }
  for (const name of names) onTarget(name)
  return {
    onTarget,
    onSource: (target) => {
      if (isShared(target)) return target
      const source = toSource.get(target)
      if (source !== undefined) return source
      let marked = target
      while (toTarget.has(marked)) marked += ' (of the target)'
      return marked
    },
    // the prefix is of this run alone, so that nothing else is called so
    inText: (text) =>
      text.replace(new RegExp(`\\b${prefix}_r\\d+\\b`, 'g'), (name) => toSource.get(name) ?? name),
  }
}

/** Whether the value of a setting is the name of a role (PostgreSQL, "SET ROLE"): `none` is nobody's. */
export function namesRole(parameter: string, value: string): boolean {
  return /^(role|session_authorization)$/i.test(parameter) && value !== 'none' && value !== ''
}
