import * as core from '@actions/core'
import { Cancelled, Failure, messageOf } from '../failure.ts'
import { redact } from '../host/secrets.ts'
import type { Job, World } from '../runner/context.ts'
import {
  parseStartInputs,
  parseStopInputs,
  readCredentials,
  secretInputs,
} from '../runner/inputs.ts'
import type { Credentials } from '../runner/signature.ts'
import { startRunner } from '../runner/start.ts'
import { stopRunner, sweepRunners } from '../runner/stop.ts'
import { visible } from '../text/text.ts'
import { httpSender } from './http.ts'
import { maskedInputs } from './inputs.ts'
import { RunnerLog } from './log.ts'
import { isPublicRepository } from './repository.ts'
import { registerSecret } from './secrets.ts'

/** Seconds between the two looks of a sweep: an instance is made within them of its registration. */
const sweepPace = 60

type Get = (name: string) => string

/** The step of `runner/start`. */
export async function runStart(): Promise<void> {
  await step(async (world, get, job, credentials) => {
    if (await isPublicRepository(process.env))
      core.warning(
        `${job.repository} is public: code of a pull request could run on this runner, inside the VPC. Use a private repository, or require approval for all outside contributors and an environment with reviewers.`,
      )
    await startRunner(world, parseStartInputs(get), job, credentials())
  })
}

/** The step of `runner/stop`. */
export async function runStop(): Promise<void> {
  await step(async (world, get, job, credentials) => {
    const inputs = parseStopInputs(get)
    if (inputs.mode === 'stop') await stopRunner(world, inputs, job, credentials())
    else await sweepRunners({ ...world, pace: sweepPace }, inputs, job, credentials())
  })
}

async function step(
  work: (world: World, get: Get, job: Job, credentials: () => Credentials) => Promise<void>,
): Promise<void> {
  const log = new RunnerLog()
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => stop.abort(new Cancelled()))
  }
  const world: World = {
    log,
    progress: log,
    send: httpSender(60),
    signal: stop.signal,
    secret: registerSecret,
    setOutput: (name, value) => core.setOutput(name, value),
    now: Date.now,
    pace: 5,
  }
  try {
    const get = maskedInputs(secretInputs)
    for (const name of ['ALIBABA_CLOUD_ACCESS_KEY_SECRET', 'ALIBABA_CLOUD_SECURITY_TOKEN']) {
      const secret = process.env[name]
      if (secret) registerSecret(secret)
    }
    await work(world, get, thisJob(), () => readCredentials(process.env))
  } catch (error) {
    log.settle()
    if (!(error instanceof Failure)) log.debug(String((error as Error)?.stack))
    const line = stop.signal.aborted
      ? 'The job was cancelled. What this step could not remove any more, runner/stop removes.'
      : messageOf(error)
    core.setFailed(visible(redact(line)))
  }
  log.settle()
}

/** @throws Failure outside of a workflow */
function thisJob(): Job {
  const {
    GITHUB_REPOSITORY: repository,
    GITHUB_RUN_ID: runId,
    GITHUB_RUN_ATTEMPT: attempt = '1',
    GITHUB_API_URL: apiUrl = 'https://api.github.com',
  } = process.env
  if (!repository || !runId)
    throw new Failure(
      'This is no job of GitHub Actions',
      'GITHUB_REPOSITORY or GITHUB_RUN_ID is not set',
      'Run this action in a workflow',
    )
  return { repository, runId, attempt, apiUrl: apiUrl.replace(/\/$/, '') }
}
