import { runOnNode24 } from './node-version.ts'

await runOnNode24(async () => {
  const { runStop } = await import('./action/runner.ts')
  await runStop()
})
