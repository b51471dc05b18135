import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type {
  ClientEnvironment,
  ProvideOptions,
} from '../../src/postgres/programs/clients/provide.ts'
import { type ClientPrograms, programPath } from '../../src/postgres/programs/programs.ts'
import { versionOfNumber } from '../../src/postgres/version.ts'
import { debianPackages, hasDebianPackages, unpack } from '../support/clients.ts'
import {
  type Answer,
  buildRpm,
  buildYumRepository,
  FileServer,
  hasPrograms,
  run,
  SigningKey,
} from '../support/package-repositories.ts'
import { makeUserDirectory, type Outcome, provideAsUser } from '../support/provide-client.ts'
import { TestServer } from '../support/server.ts'

const tools = ['dnf', 'rpmbuild', 'rpmsign', 'rpmkeys', 'rpm2cpio', 'createrepo_c', 'gpg']
const possible =
  (await hasDebianPackages()) &&
  hasPrograms(...tools) &&
  (await run('dnf', ['download', '--help']).then(
    () => true,
    () => false,
  ))

const rocky = `NAME="Rocky Linux"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.6"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Rocky Linux 9.6 (Blue Onyx)"
`

/** Where the project's repository has 15 for Enterprise Linux 9. */
const below = '15/redhat/rhel-9-x86_64'

;(possible ? describe : describe.skip)('dnf on a runner', () => {
  let fixture: string
  let key: SigningKey
  let stranger: SigningKey
  let directory: string
  let repository: string
  const servers: FileServer[] = []

  beforeAll(async () => {
    fixture = mkdtempSync(join(tmpdir(), 'yum-fixture-'))
    chmodSync(fixture, 0o755)
    const [first, second] = await Promise.all([
      SigningKey.create(join(fixture, 'key')),
      SigningKey.create(join(fixture, 'stranger')),
    ])
    key = first
    stranger = second
    // Debian's own builds in the project's RPM layout
    const unpacked = join(fixture, 'unpacked')
    await unpack(await debianPackages('bookworm', 'postgresql-client-15', 'alone'), unpacked)
    await unpack(await debianPackages('bookworm', 'libpq5', 'alone'), unpacked)
    const programs = join(unpacked, 'usr/lib/postgresql/15/bin')
    const [, version = ''] =
      /(\d+\.\d+)/.exec(await run(join(programs, 'pg_dump'), ['--version'])) ?? []
    cpSync(programs, join(fixture, 'client/usr/pgsql-15/bin'), { recursive: true })
    const libraries = join(fixture, 'libraries/usr/pgsql-15/lib')
    mkdirSync(libraries, { recursive: true })
    await run('cp', ['-a', join(unpacked, 'usr/lib/x86_64-linux-gnu'), join(libraries, '..')])
    await run('mv', ['-T', join(libraries, '../x86_64-linux-gnu'), libraries])
    const to = join(fixture, 'repository', below)
    mkdirSync(to, { recursive: true })
    for (const [name, root] of [
      ['postgresql15', 'client'],
      ['postgresql15-libs', 'libraries'],
    ] as const) {
      const rpm = await buildRpm(join(fixture, 'build'), join(fixture, root), name, version, to)
      await key.signPackage(rpm)
    }
    await buildYumRepository(to, key)
  })

  afterAll(async () => {
    await Promise.all([key, stranger].map((each) => each?.close()))
    rmSync(fixture, { recursive: true, force: true })
  })

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'yum-runner-'))
    chmodSync(directory, 0o755)
    repository = join(directory, 'repository')
    cpSync(join(fixture, 'repository'), repository, { recursive: true })
    makeUserDirectory(join(directory, 'temp'))
    makeUserDirectory(join(directory, 'tools'))
  })

  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()))
    rmSync(directory, { recursive: true, force: true })
  })

  async function serve(path = repository, answer?: Answer): Promise<FileServer> {
    const server = await FileServer.start(path, answer)
    servers.push(server)
    return server
  }

  const nowhere = 'http://127.0.0.1:9'

  function order(
    major: number,
    options: Omit<ProvideOptions, 'source'>,
    environment: Partial<ClientEnvironment> = {},
    osRelease = rocky,
  ) {
    const file = join(directory, 'os-release')
    writeFileSync(file, osRelease)
    return {
      options: {
        source: versionOfNumber(major * 10_000),
        ...options,
      },
      temporary: join(directory, 'temp'),
      toolCache: join(directory, 'tools'),
      environment: {
        path: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        proxies: {},
        architecture: 'x64',
        osRelease: file,
        patience: { silence: 60, retries: 1, deadline: 240_000, takeover: 30_000 },
        repositories: {
          apt: nowhere,
          aptArchive: nowhere,
          yum: nowhere,
          yumArchive: nowhere,
          aptKey: '',
          yumKeys: { x64: key.publicKey },
        },
        ...environment,
      },
    }
  }

  function installed(outcome: Outcome): ClientPrograms {
    if (!outcome.client) throw new Error(JSON.stringify(outcome))
    return outcome.client
  }

  function kept(): string[] {
    const files = readdirSync(join(directory, 'tools'), { recursive: true, encoding: 'utf8' })
    return files.filter((file) => file.endsWith('.complete'))
  }

  test('installs 15 as an ordinary user from a mirror, dumps a server, and finds it again', async () => {
    const mirror = await serve()
    const outcome = await provideAsUser(order(15, { mirror: mirror.url }))
    const client = installed(outcome)
    expect(outcome.user).not.toBe(0)
    expect(client.origin).toBe(`dnf (${mirror.url}/${below})`)
    expect(client.bytes).toBeGreaterThan(1_000_000)
    const env = { LD_LIBRARY_PATH: client.libraryPath ?? '' }
    for (const name of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'] as const) {
      expect(await run('ldd', [programPath(client, name)], { env })).not.toContain('not found')
    }
    const server = await TestServer.start(15)
    try {
      const args = ['-Fc', '-d', server.uri(), '-f', join(directory, 'dump')]
      await run(programPath(client, 'pg_dump'), args, { env })
    } finally {
      await server.stop()
    }
    const requests = mirror.requests.length
    const again = await provideAsUser(order(15, { mirror: mirror.url }, { path: '/nonexistent' }))
    expect(installed(again)).toMatchObject({ directory: client.directory, origin: 'tool cache' })
    expect(mirror.requests.length).toBe(requests)
  })

  test('takes what the project has retired from its archive', async () => {
    mkdirSync(join(directory, 'project'))
    cpSync(repository, join(directory, 'project/archive'), { recursive: true })
    const { url } = await serve(join(directory, 'project'))
    const { repositories } = order(15, {}).environment
    const environment = {
      repositories: { ...repositories, yum: url, yumArchive: `${url}/archive` },
    }
    const client = installed(await provideAsUser(order(15, {}, environment)))
    expect(client.origin).toBe(`dnf (${url}/archive/${below})`)
  })

  test('takes packages for the minor release of the runner before those for its major', async () => {
    const at = join(repository, '15/redhat')
    cpSync(join(at, 'rhel-9-x86_64'), join(at, 'rhel-9.6-x86_64'), { recursive: true })
    const { url: mirror } = await serve()
    const client = installed(await provideAsUser(order(15, { mirror })))
    expect(client.origin).toContain('rhel-9.6-x86_64')
  })

  test('looks for a source of 9.1 only for majors whose packages carry a key in use', async () => {
    const mirror = await serve()
    const job = order(9, { mirror: mirror.url })
    job.options.source = versionOfNumber(90_124)
    const { failure } = await provideAsUser(job)
    // the repository here has only 15, which does not read 9.1
    expect(failure?.why).not.toContain(`${mirror.url}/10/`)
    for (const major of [11, 12, 13, 14]) {
      expect(failure?.why).toContain(
        `${mirror.url}/${major}/redhat/rhel-9-x86_64: Status code: 404`,
      )
    }
  })

  describe('keeps nothing of a repository', () => {
    const at = () => join(repository, below)
    const rpm = () => {
      const name = readdirSync(at()).find((file) => /^postgresql15-\d/.test(file))
      return join(at(), name ?? '')
    }
    const repomd = () => join(at(), 'repodata/repomd.xml')
    test.each<[string, () => Promise<void> | void, RegExp]>([
      ['with a truncated package', () => truncateSync(rpm(), 5000), /checksum/i],
      [
        'with a tampered package whose checksum was tampered with, too',
        async () => {
          const bytes = readFileSync(rpm())
          bytes[bytes.length - 100] = (bytes.at(-100) ?? 0) ^ 1
          writeFileSync(rpm(), bytes)
          await buildYumRepository(at(), key)
        },
        /rpm does not accept the package: .*NOT OK/,
      ],
      [
        'with a package signed with an unknown key',
        async () => {
          await stranger.signPackage(rpm())
          await buildYumRepository(at(), key)
        },
        /rpm does not accept the package: .*SIGNATURES NOT OK/,
      ],
      [
        'with a package that is not signed',
        async () => {
          await run('rpmsign', ['--delsign', rpm()])
          await buildYumRepository(at(), key)
        },
        /rpm does not accept the package: .*digests OK/,
      ],
      ['with a tampered index', () => appendFileSync(repomd(), '<!-- -->'), /GPG signature/],
      ['that is not signed', () => rmSync(`${repomd()}.asc`), /GPG signature is not available/],
      [
        'signed with an unknown key',
        () => stranger.detach(repomd(), `${repomd()}.asc`),
        /GPG signature/,
      ],
    ])('%s', async (_what, spoil, why) => {
      await spoil()
      const { url: mirror } = await serve()
      const { failure } = await provideAsUser(order(15, { mirror }))
      expect(failure).toMatchObject({
        what: `The package repository ${mirror}/${below} cannot be trusted`,
        why: expect.stringMatching(why),
      })
      expect(kept()).toEqual([])
    })
  })

  describe('fails with a clear message', () => {
    test('that names the mirror when it refuses connections', async () => {
      const { failure } = await provideAsUser(order(15, { mirror: nowhere }))
      expect(failure?.what).toContain(`The mirror ${nowhere}`)
      expect(failure?.why).toMatch(/connect/)
    })

    test('that names the mirror when it never answers', async () => {
      const { url: mirror } = await serve(repository, () => true)
      const patience = { silence: 2, retries: 1, deadline: 10_000, takeover: 3000 }
      const { failure } = await provideAsUser(order(15, { mirror }, { patience }))
      expect(failure?.what).toContain(`The mirror ${mirror}`)
      expect(failure?.why).toMatch(/did not end within|Timeout/)
    })

    test('that says what was tried when nobody has the major', async () => {
      const { url: mirror } = await serve()
      const { failure } = await provideAsUser(order(14, { mirror }))
      expect(failure?.why).toContain(`${mirror}/14/redhat/rhel-9-x86_64: Status code: 404`)
      expect(failure?.remedy).toContain('client-path')
    })

    test('about a major whose packages carry keys that are no longer in use', async () => {
      const job = order(9, { mirror: (await serve()).url })
      job.options.source = versionOfNumber(90_624)
      const { failure } = await provideAsUser(job)
      expect(failure?.why).toContain('packages of 9.6 are signed with keys that are no longer')
    })

    test('on a system that the project has no packages for', async () => {
      const fedora = 'ID=fedora\nVERSION_ID=42\nPRETTY_NAME="Fedora Linux 42"\n'
      const { failure } = await provideAsUser(order(15, {}, {}, fedora))
      expect(failure?.why).toContain('Enterprise Linux 8, 9 and 10, not for Fedora Linux 42')
    })
  })
})
