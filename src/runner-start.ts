import { runOnNode24 } from './node-version.ts'

await runOnNode24(async () => {
  const { runStart } = await import('./action/runner.ts')
  await runStart()
})
