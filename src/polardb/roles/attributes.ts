import { quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts'
import type { CatalogRole } from '../../postgres/roles/catalog.ts'
import type { RoleOption } from '../../postgres/roles/script.ts'
import { lostAttribute } from './losses.ts'
import { markStandIn } from './stand-ins.ts'
import { type RoleStep, type RoleSubject, step, subject } from './steps.ts'
import {
  makesStandIns,
  type Namesake,
  type RoleTarget,
  roleIdentifier,
  type SuperuserPlan,
} from './target.ts'

/** A role as the script describes it. */
export interface ScriptRole {
  name: string
  /** Of CREATE and ALTER together; a later word overrides an earlier one. */
  options: Map<string, RoleOption>
  /** The characters of an option as they stand in the script. */
  text: (option: RoleOption) => string
  /** A superuser, or a member of pg_polar_superuser. */
  superuser: boolean
  /** As the source's catalog has it, where it lists the role. */
  source: CatalogRole | undefined
  /** By the script. */
  comment: string | null
}

export interface AttributePlan {
  /** One CREATE or ALTER, so that a failure leaves no half-made role. */
  main: RoleStep | undefined
  /** What the server may refuse: sent after everything else but comments (docs/polardb.md, "Role attributes"). */
  last: RoleStep[]
  passwordSent: boolean
  /** Differences known beforehand, with their reason. */
  explained: { what: string; reason: string }[]
}

interface AttributeOptions {
  superuser: SuperuserPlan
  rolePasswords: boolean
}

/** `CREATE ROLE … WITH …` for a role that the target does not have. */
export function planCreate(
  role: ScriptRole,
  target: RoleTarget,
  options: AttributeOptions,
): AttributePlan {
  const { superuser } = options
  const words = new Set<string>()
  const notes: string[] = []
  const explained: AttributePlan['explained'] = []
  const last: string[] = []
  if (role.superuser) {
    for (const word of superuser.words) words.add(word)
    notes.push(`SUPERUSER became ${superuser.words.join(' ') || 'nothing'}: ${superuser.reason}`)
    if (!superuser.polar && !superuser.words.includes('SUPERUSER')) {
      const instead = superuser.words.join(' ')
      const reason = instead
        ? `${superuser.reason}; the role has ${instead} instead`
        : superuser.reason
      if (!superuser.membership) explained.push({ what: 'SUPERUSER', reason })
    }
  }
  for (const word of ['NOINHERIT', 'CREATEROLE', 'CREATEDB', 'LOGIN']) {
    if (role.options.has(word)) words.add(word)
  }
  // together with (POLAR_)SUPERUSER both are accepted; alone they may be refused, and the role with them
  const together = role.superuser && (superuser.polar || superuser.words.includes('SUPERUSER'))
  for (const word of ['REPLICATION', 'BYPASSRLS']) {
    if (!role.options.has(word)) continue
    if (together) words.add(word)
    else last.push(word)
  }
  if (words.has('CREATEDB') && !mayGiveCreatedb(target)) {
    words.delete('CREATEDB')
    last.unshift('CREATEDB')
  }
  const values = carriedValues(role, options.rolePasswords, notes)
  const create = (...list: string[]) => {
    const options = list.length > 0 ? ` WITH ${list.join(' ')}` : ''
    return `CREATE ROLE ${roleIdentifier(target, role.name)}${options};`
  }
  const carries = [{ role: role.name, what: subject.role }]
  const whole = create(...words, ...values)
  words.delete('LOGIN')
  const main = makesStandIns(target)
    ? step('create', marked(role, target, create(...words)), carries, {
        notes,
        trial: { instead: whole },
      })
    : step('create', whole, carries, { notes })
  return {
    main,
    last: lateAttributes(role, last, target, 'new'),
    passwordSent: options.rolePasswords && role.options.has('PASSWORD'),
    explained,
  }
}

/**
 * The stand-in for a role that the target has and a migration never alters. For the account it has what the account has, since it
 * owns what stays with the account; for a superuser it is one where the account can make one.
 */
export function planNamesake(
  role: ScriptRole,
  { role: namesake, isAccount, reason: why }: Namesake,
  target: RoleTarget,
): AttributePlan {
  const { account, knowsPolarSuperuser } = target
  const words = [
    ...(namesake.superuser && account.superuser ? ['SUPERUSER'] : []),
    ...(isAccount && account.polarSuperuser && knowsPolarSuperuser ? ['POLAR_SUPERUSER'] : []),
    ...(isAccount && account.createRole ? ['CREATEROLE'] : []),
    ...(isAccount && account.createDatabase ? ['CREATEDB'] : []),
  ]
  const name = target.names.onTarget(role.name)
  const options = words.length > 0 ? ` WITH ${words.join(' ')}` : ''
  const text = marked(role, target, `CREATE ROLE ${quoteIdentifier(name)}${options};`)
  const reason = `the target has a role of this name, and ${why}`
  return {
    main: step('create', text, [{ role: role.name, what: subject.role }], { notes: [reason] }),
    last: [],
    passwordSent: false,
    explained: [{ what: subject.role, reason }],
  }
}

/** `ALTER ROLE … WITH …` that makes an existing role what it was on the source, as far as it differs. */
export function planUpdate(
  given: ScriptRole,
  existing: CatalogRole,
  target: RoleTarget,
  options: AttributeOptions & { samePassword: boolean | undefined },
): AttributePlan {
  const role = makesStandIns(target) ? withoutLogin(given) : given
  const words: string[] = []
  const notes: string[] = []
  const explained: AttributePlan['explained'] = []
  const { superuser } = options
  const flag = (word: string, has: boolean) => {
    const wanted = role.options.has(word) || (role.superuser && superuser.words.includes(word))
    if (wanted !== has) words.push(wanted ? word : `NO${word}`)
  }
  const inherits = !role.options.has('NOINHERIT')
  if (inherits !== existing.inherit) words.push(inherits ? 'INHERIT' : 'NOINHERIT')
  flag('CREATEROLE', existing.createRole)
  flag('CREATEDB', existing.createDatabase)
  flag('LOGIN', existing.login)
  if (role.superuser && superuser.words.includes('SUPERUSER')) flag('SUPERUSER', existing.superuser)
  else if (role.superuser && !superuser.polar && !superuser.membership)
    explained.push({ what: 'SUPERUSER', reason: superuser.reason })
  const late: string[] = []
  const wants = (word: string) => role.options.has(word)
  if (wants('REPLICATION') !== existing.replication)
    late.push(wants('REPLICATION') ? 'REPLICATION' : 'NOREPLICATION')
  if (wants('BYPASSRLS') !== existing.bypassRls)
    late.push(wants('BYPASSRLS') ? 'BYPASSRLS' : 'NOBYPASSRLS')

  const values: string[] = []
  const limit = role.options.get('CONNECTION LIMIT')?.value ?? '-1'
  if (Number(limit) !== existing.connectionLimit) values.push(`CONNECTION LIMIT ${limit}`)
  const until = role.source?.validUntil ?? null
  if (until !== existing.validUntil) values.push(`VALID UNTIL ${quoteLiteral(until ?? 'infinity')}`)
  const password = role.options.get('PASSWORD')
  const sendsPassword = options.rolePasswords && password !== undefined && !options.samePassword
  if (sendsPassword) {
    values.push(role.text(password))
    if (options.samePassword === undefined)
      notes.push('whether the password differs cannot be seen, so it is sent again')
  }
  // on PolarDB 11 such a word opens the way: without it, a role that has REPLICATION or BYPASSRLS cannot be altered at
  // all, and with it both may be changed in the same statement
  const makesPolar = role.superuser && superuser.polar
  const mayUseWord = usesPolarWord(target)
  const polarWord = makesPolar ? 'POLAR_SUPERUSER' : 'NOPOLAR_SUPERUSER'
  const needsWord =
    existing.polarSuperuser !== makesPolar ||
    ((words.length + values.length > 0 || late.length > 0) &&
      (existing.replication || existing.bypassRls || late.length > 0))
  if (mayUseWord && needsWord) words.unshift(polarWord, ...late.splice(0))

  const carries: RoleSubject[] = [...words, ...late].map((word) => carried(role, word))
  for (const value of values) {
    const what = /^(CONNECTION LIMIT|VALID UNTIL)/.exec(value)?.[1] ?? subject.password
    carries.push({ role: role.name, what, loss: lostAttribute(role.name, what) })
  }
  const main =
    words.length + values.length === 0
      ? undefined
      : step(
          'update',
          marked(
            role,
            target,
            `ALTER ROLE ${roleIdentifier(target, role.name)} WITH ${[...words, ...values].join(' ')};`,
          ),
          carries,
          { notes: [...notes, 'the role exists: existing-roles is update'], trial: 'itself' },
        )
  return {
    main,
    last: lateAttributes(role, late, target, 'existing'),
    passwordSent: sendsPassword,
    explained,
  }
}

/**
 * A statement that makes or alters a role, for a stand-in with its mark behind it, since PolarDB 11 writes over the comment of a role
 * that it alters (docs/polardb.md, "Role attributes"). In one message, and so in one transaction: no stand-in is ever without its mark.
 */
function marked({ name, comment }: ScriptRole, target: RoleTarget, statement: string): string {
  if (!makesStandIns(target)) return statement
  return `${statement} ${markStandIn(target.names.onTarget(name), comment)}`
}

/** What of a role its stand-in has, also when it is found again. */
function withoutLogin(role: ScriptRole): ScriptRole {
  const options = new Map(role.options)
  for (const word of ['LOGIN', 'CONNECTION LIMIT', 'PASSWORD', 'VALID UNTIL']) options.delete(word)
  return { ...role, options, source: role.source && { ...role.source, validUntil: null } }
}

const polarWords = new Set(['POLAR_SUPERUSER', 'NOPOLAR_SUPERUSER'])

/** Whether the words (NO)POLAR_SUPERUSER are at the account's disposal: a real superuser does not need them. */
function usesPolarWord(target: RoleTarget): boolean {
  return target.knowsPolarSuperuser && target.account.polarSuperuser && !target.account.superuser
}

/** From 16 on nobody can give an attribute that it does not have (PostgreSQL 16, "CREATE ROLE"). */
function mayGiveCreatedb({ major, account }: RoleTarget): boolean {
  return major < 16 || account.superuser || account.createDatabase
}

/** An option, and what is lost with it: nothing where it takes something from the role, or belongs to what SUPERUSER was. */
function carried(role: ScriptRole, word: string): RoleSubject {
  const what = word.replace(/^NO(?=[A-Z])/, '')
  const lessened = what !== word || role.superuser || /SUPERUSER$/.test(what)
  return { role: role.name, what, ...(lessened ? {} : { loss: lostAttribute(role.name, what) }) }
}

function lateAttributes(
  role: ScriptRole,
  words: string[],
  target: RoleTarget,
  state: 'new' | 'existing',
): RoleStep[] {
  if (words.length === 0) return []
  const make = (list: string[], more: Partial<Pick<RoleStep, 'notes' | 'fallback'>>): RoleStep => {
    const text = (name: string) => `ALTER ROLE ${quoteIdentifier(name)} WITH ${list.join(' ')};`
    const carries = list.filter((word) => !polarWords.has(word)).map((word) => carried(role, word))
    // what an existing role is decides what of it may be altered
    return step(
      'attribute',
      marked(role, target, text(target.names.onTarget(role.name))),
      carries,
      {
        ...more,
        trial: state === 'new' ? text : 'itself',
      },
    )
  }
  const steps = words.map((word) => make([word], {}))
  if (!usesPolarWord(target)) return steps
  const note =
    'NOPOLAR_SUPERUSER is there because PolarDB takes REPLICATION and BYPASSRLS only beside such a word'
  return [make(['NOPOLAR_SUPERUSER', ...words], { notes: [note], fallback: steps })]
}

function carriedValues(role: ScriptRole, rolePasswords: boolean, notes: string[]): string[] {
  const values: string[] = []
  const limit = role.options.get('CONNECTION LIMIT')
  if (limit) values.push(role.text(limit))
  const password = role.options.get('PASSWORD')
  if (password && rolePasswords) values.push(role.text(password))
  else if (password) notes.push('PASSWORD left out: role-passwords is false')
  const until = role.options.get('VALID UNTIL')
  if (until) {
    // pg_dumpall prints timestamps in the source's own DateStyle; ours is ISO whatever the target's is
    const iso = /^(-?infinity|\d{4,}-\d\d-\d\d( |T|$).*)$/.test(until.value ?? '')
    const known = role.source?.validUntil
    if (iso || !known) values.push(role.text(until))
    else {
      values.push(`VALID UNTIL ${quoteLiteral(known)}`)
      notes.push("VALID UNTIL is written in ISO style: the source's DateStyle could be misread")
    }
  }
  return values
}
