import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { definitionsIn } from '../../postgres/archive/toc.ts'
import { withConnection } from '../../postgres/connection.ts'
import type { CatalogSetting, RoleCatalog } from '../../postgres/roles/catalog.ts'
import type { Source } from '../checks/preflight.ts'
import { retrying } from '../retry.ts'
import type { Run } from '../run.ts'
import {
  type FreezeMark,
  letsWrite,
  readFreezeMark,
  readOnlySetting,
  settingsBefore,
} from './mark.ts'

/** The catalog of the roles of a source, with the settings that they had in its databases before these were frozen. */
export async function rolesBefore(
  catalog: RoleCatalog,
  source: Pick<Source, 'connection'>,
  run: Pick<Run, 'log' | 'signal' | 'pauses'>,
): Promise<RoleCatalog> {
  const marks = new Map<string, FreezeMark | null>()
  const options = { readOnly: true, role: 'source', signal: run.signal } as const
  for (const { database, parameter } of catalog.settings) {
    if (database === null || parameter !== readOnlySetting || marks.has(database)) continue
    const mark = await retrying(run, () =>
      withConnection(source.connection, { ...options, database }, readFreezeMark),
    )
    marks.set(database, mark)
  }
  const before = (setting: CatalogSetting): CatalogSetting[] => {
    const { role, database, parameter, value } = setting
    const mark = (database !== null && marks.get(database)) || null
    const [kept] = settingsBefore([{ role, name: parameter, value }], mark)
    return kept ? [{ ...setting, value: kept.value }] : []
  }
  return { ...catalog, settings: catalog.settings.flatMap(before) }
}

/** An identifier as pg_dump prints it, quoted where it must be. */
const identifier = '(?:"(?:[^"]|"")+"|[a-z_\\x80-\\xff][a-z0-9_$\\x80-\\xff]*)'

/**
 * Takes out of an archive's statements about its database what a freeze has set, so that who restores it by hand with
 * `pg_restore --create` gets the settings from before as well (in archives of pg_dump 11 and newer). A statement is replaced by
 * one of the same length, so that nothing else of the file moves.
 *
 * @param directory what pg_dump -Fd has just written
 * @param mark of the database that was dumped
 */
export async function thawArchive(directory: string, mark: FreezeMark | null): Promise<void> {
  const frozen = mark?.state?.frozen
  if (!frozen) return
  const file = await open(join(directory, 'toc.dat'), 'r+')
  try {
    const content = await file.readFile()
    for (const definition of definitionsIn(content, directory, 'DATABASE PROPERTIES')) {
      const before = definition.toString('latin1')
      const after = before.replace(
        new RegExp(
          `(?<=^|\\n)ALTER (?:DATABASE ${identifier}|ROLE (${identifier}) IN DATABASE ${identifier}) SET ${readOnlySetting} TO 'on';`,
          'g',
        ),
        (statement, role: string | undefined) => {
          const name = role && Buffer.from(unquoted(role), 'latin1').toString('utf8')
          const changed =
            name === undefined
              ? frozen.setting
              : frozen.roles.find((one) => one.role === name)?.setting
          if (changed === undefined) return statement
          if (changed === null) return ' '.repeat(statement.length)
          // its end: a name may hold the same words
          return letsWrite(changed)
            ? `${statement.slice(0, -` TO 'on';`.length)} TO'off';`
            : statement
        },
      )
      // what definitionsIn returns are parts of the file's content themselves
      if (after !== before) definition.write(after, 'latin1')
    }
    await file.write(content, 0, content.length, 0)
  } finally {
    await file.close()
  }
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}
