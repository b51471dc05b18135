import type { EntryResult } from '../../../report/model.ts'
import { printable } from '../../../text/text.ts'

/** A difference that is expected, by what an archive calls the object. */
export interface ExpectedDifference extends EntryResult {
  /**
   * Where the object is there, and was only restored otherwise than dumped: the facets of its fingerprint that differ for that;
   * `compression of` stands for those of all columns. Nothing else of it is explained, least of all that it is missing.
   */
  facets?: readonly string[]
  /** Nothing of it is there to be compared, and nobody has asked for that: it is among what the comparison does not see. */
  notCompared?: true
}

/** The differences that a restore lets one expect, found by what an archive calls an object. */
export class ExpectedDifferences {
  private readonly reasons = new Map<string, string>()
  /** What was restored otherwise than dumped: it is there, and only some of it may differ. */
  private readonly changes = new Map<string, ExpectedDifference>()

  constructor(entries: readonly ExpectedDifference[]) {
    for (const one of entries) {
      const { entry, reason } = one
      if (one.facets) {
        this.changes.set(normalise(entry), one)
        continue
      }
      this.reasons.set(normalise(entry), reason)
      // comments and grants name their object quoted, where SQL must
      if (/^(COMMENT|ACL|OWNER) .*"/s.test(entry)) {
        const plain = normalise(unquoted(entry))
        if (!this.reasons.has(plain)) this.reasons.set(plain, reason)
      }
      // the fingerprint of a database does not name it: it may be called otherwise on the target
      const database =
        /^((?:ACL |COMMENT |OWNER )?DATABASE(?: PROPERTIES)?) (?!CONNECTION LIMIT$|TEMPLATE$)/.exec(
          entry,
        )?.[1]
      if (database) this.reasons.set(database, reason)
    }
  }

  /** The reason given for the first known of the entries, or undefined. */
  reasonFor(entries: readonly string[]): string | undefined {
    for (const entry of entries) {
      const reason = this.reasons.get(normalise(printable(entry)))
      if (reason !== undefined) return reason
    }
    return undefined
  }

  /** The reason why an object that was restored otherwise may differ in a facet, by the first known of the entries. */
  reasonForChange(entries: readonly string[], facet: string): string | undefined {
    for (const entry of entries) {
      const change = this.changes.get(normalise(printable(entry)))
      const isMeant = change?.facets?.some((one) =>
        one.endsWith(' of') ? facet.startsWith(`${one} `) : facet === one,
      )
      if (isMeant) return change?.reason
    }
    return undefined
  }

  /** The reason given for the first entry that fits. */
  find(fits: (entry: string) => boolean): string | undefined {
    for (const [entry, reason] of this.reasons) if (fits(entry)) return reason
    return undefined
  }
}

/** An object without a schema is written with `-` in its place, or without; a database may go without its name. */
function normalise(entry: string): string {
  return entry.replace(/^([A-Z][A-Z ]*) - /, '$1 ').trimEnd()
}

function unquoted(entry: string): string {
  return entry.replace(/"((?:[^"]|"")*)"/g, (_, name: string) => name.replaceAll('""', '"'))
}
