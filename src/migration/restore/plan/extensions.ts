import type { ArchiveEntry } from '../../../postgres/archive/entry.ts'
import { extensionOf } from '../database/extension-grants.ts'
import type { DatabaseProperties } from '../database/properties.ts'
import { type Decision, leaveOut } from './planned-entry.ts'
import type { TargetFacts } from './target-facts.ts'

/** An extension: whether the target has it, and lets the account have it. */
export function decideExtension(
  entry: ArchiveEntry,
  facts: TargetFacts,
  database: DatabaseProperties,
): Decision | undefined {
  if (entry.desc !== 'EXTENSION') return undefined
  const { target, available, refused } = facts
  const { account, supportedExtensions } = target
  const name = entry.tag
  const rid = `Drop what uses ${name} on the source`
  const refusal = refused.get(name)
  if (refusal !== undefined) {
    return leaveOut(
      `the target refuses to create the extension: ${refusal}`,
      `Let an administrator of the cluster create it in the database beforehand, or: ${rid}`,
      'behaviour',
    )
  }
  // the list is asked first: PolarDB refuses what is not on it, installed or not (docs/polardb.md, "Extensions")
  if (supportedExtensions && !supportedExtensions.has(name) && !account.superuser) {
    return leaveOut(
      'this PolarDB does not support the extension (polar_supported_extensions)',
      `Ask the support of the cluster for it, or: ${rid}`,
      'behaviour',
    )
  }
  const found = available.get(name)
  if (!found) {
    return leaveOut(
      'the target does not have the extension (pg_available_extensions)',
      `Choose a target that offers it, or: ${rid}`,
      'behaviour',
    )
  }
  const may = account.superuser || account.polarSuperuser || found.trusted || !found.superuser
  if (!may && !supportedExtensions?.has(name)) {
    return leaveOut(
      'the account may not create the extension: it takes a superuser',
      `Let an administrator of the cluster create it in the database beforehand, or: ${rid}`,
      'behaviour',
    )
  }
  const version = database.extensions.find((extension) => extension.name === name)?.version
  if (version === undefined || found.versions.has(version)) return undefined
  return {
    kind: 'otherwise',
    definition: entry.definition,
    facets: ['version'],
    reason: `restored at version ${found.defaultVersion ?? 'of the target'}: the target does not have the source's ${version}`,
  }
}

/**
 * Grants on what a trusted extension brings: its objects are the superuser's, whoever creates it (PostgreSQL, "CREATE
 * EXTENSION"), and the server answers to other people's grants with no more than a warning. What PolarDB makes of it
 * differs between its versions, and shows when it is tried.
 */
export function decideExtensionMember(
  entry: ArchiveEntry,
  { target, available }: TargetFacts,
  database: DatabaseProperties,
): Decision | undefined {
  if (entry.desc !== 'ACL' || target.account.superuser || target.polardb !== null) return undefined
  const extension = extensionOf(database.extensionGrants, entry)
  const found = extension === undefined ? undefined : available.get(extension)
  if (!found?.trusted || !found.superuser) return undefined
  return leaveOut(
    `the objects of the extension ${extension} belong to a superuser on the target, and only he may grant on them`,
    'Let a superuser of the target make these grants, or take them back on the source',
    'behaviour',
  )
}
