/**
 * The action's main step from source, with seconds where it waits minutes for a silent peer: what follows on the silence is
 * the same, and a test of a network that stalls has an end. Every table is large, so that what may be restored while it is
 * dumped is, whatever its size.
 */
import { runAction } from '../../src/action/action.ts'
import { partSizes } from '../../src/migration/dump/part-sizes.ts'
import { runOnNode24 } from '../../src/node-version.ts'
import { patience } from '../../src/postgres/watchdog.ts'

Object.assign(patience, { silence: 4000, between: 1000, looks: 4 })
Object.assign(partSizes, { database: 1, table: 1, share: 0 })
await runOnNode24(runAction)
