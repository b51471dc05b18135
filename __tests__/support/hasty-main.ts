/**
 * The action's main step from source, with fractions of a second where it waits minutes for a server to come back: what it does
 * once the tries are used up is the same, and a test of a server that stays down has an end.
 */
import { runAction } from '../../src/action/action.ts'
import { defaultPauses } from '../../src/migration/retry.ts'
import { runOnNode24 } from '../../src/node-version.ts'

;(defaultPauses as number[]).splice(0, Number.POSITIVE_INFINITY, 0.1, 0.2, 0.4)
await runOnNode24(runAction)
