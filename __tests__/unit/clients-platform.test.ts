import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../src/failure.ts'
import { aptKey, yumKeyArm64, yumKeyX64 } from '../../src/postgres/programs/clients/keys.ts'
import {
  clientEnvironment,
  parseMirror,
  platformOf,
} from '../../src/postgres/programs/clients/platform.ts'

describe('a runner', () => {
  test.each([
    [
      'Debian',
      'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
      { id: 'x64-debian-12', packages: 'apt', codename: 'bookworm' },
    ],
    [
      'Ubuntu',
      'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n',
      { id: 'x64-ubuntu-24.04', packages: 'apt', codename: 'noble' },
    ],
    [
      "a derivative, by its parent's release",
      'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="21.3"\nVERSION_CODENAME=virginia\nUBUNTU_CODENAME=jammy\n',
      { packages: 'apt', codename: 'jammy' },
    ],
    [
      'Rocky Linux',
      'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\nPLATFORM_ID="platform:el9"\n',
      { id: 'x64-rocky-9.6', packages: 'yum', enterpriseLinux: ['9.6', '9'] },
    ],
    [
      'AlmaLinux',
      'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\nPLATFORM_ID="platform:el8"\n',
      { packages: 'yum', enterpriseLinux: ['8.10', '8'] },
    ],
    [
      'CentOS Stream',
      'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\nPLATFORM_ID="platform:el9"\n',
      { packages: 'yum', enterpriseLinux: ['9'] },
    ],
    [
      'Alibaba Cloud Linux 3',
      'ID="alinux"\nID_LIKE="rhel fedora centos anolis"\nVERSION_ID="3"\nPLATFORM_ID="platform:al8"\n',
      { id: 'x64-alinux-3', packages: 'yum', enterpriseLinux: ['8'] },
    ],
    [
      'Anolis OS 8',
      'ID="anolis"\nID_LIKE="rhel fedora centos"\nVERSION_ID="8.9"\nPLATFORM_ID="platform:an8"\n',
      { packages: 'yum', enterpriseLinux: ['8.9', '8'] },
    ],
  ])('is recognized as %s', (_name, text, expected) => {
    expect(platformOf(text, 'x64')).toMatchObject(expected)
  })

  test.each([
    ['Fedora', 'ID=fedora\nVERSION_ID=42\nPLATFORM_ID="platform:f42"\n'],
    ['Alibaba Cloud Linux 2', 'ID="alinux"\nID_LIKE="rhel fedora centos"\nVERSION_ID="2.1903"\n'],
    ['CentOS 7', 'ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n'],
  ])('of %s has no Enterprise Linux packages', (_name, text) => {
    expect(platformOf(text, 'x64').enterpriseLinux).toBeUndefined()
  })

  test('without an os-release file is an unknown Linux', () => {
    expect(platformOf('', 'x64')).toEqual({
      id: 'x64-linux',
      title: 'linux',
      packages: undefined,
      debianArchitecture: 'amd64',
      rpmArchitecture: 'x86_64',
    })
  })

  test('on arm64 takes the packages for it', () => {
    const platform = platformOf('ID=debian\nVERSION_ID="12"\n', 'arm64')
    expect(platform).toMatchObject({ debianArchitecture: 'arm64', rpmArchitecture: 'aarch64' })
  })

  test('on another processor has no packages', () => {
    expect(platformOf('ID=debian\n', 's390x').debianArchitecture).toBeUndefined()
  })

  test('keeps a hostile os-release out of paths', () => {
    expect(platformOf('ID="../../x y"\nVERSION_ID="/"\n', 'x64').id).toBe('x64-.._.._x_y-_')
  })
})

test('proxies are taken in both cases, the rest of the environment is not', () => {
  const environment = clientEnvironment({
    PATH: '/usr/bin',
    HTTPS_PROXY: 'http://proxy:1',
    http_proxy: 'http://proxy:2',
    NO_PROXY: 'localhost',
    PGPASSWORD: 'secret',
    APT_CONFIG: '/etc/my-apt.conf',
  })
  expect(environment).toEqual({
    path: '/usr/bin',
    proxies: { https_proxy: 'http://proxy:1', http_proxy: 'http://proxy:2', no_proxy: 'localhost' },
    architecture: process.arch,
    aptConfig: '/etc/my-apt.conf',
  })
})

describe('client-mirror', () => {
  test('is a base URL, shown without its password', () => {
    expect(parseMirror('https://user:pass@mirror.example.com/postgresql/')).toEqual({
      url: 'https://user:pass@mirror.example.com/postgresql',
      shown: 'https://mirror.example.com/postgresql',
    })
  })

  test.each([
    'mirror.example.com',
    'ftp://mirror.example.com/',
    'https://mirror.example.com/a b',
    'https://mirror.example.com/\nTrusted: yes',
    'https://mirror.example.com/?x=1',
    'https://user:s3cret@mirror.example.com/#x',
  ])('cannot be %j', (mirror) => {
    let line = ''
    try {
      parseMirror(mirror)
    } catch (error) {
      if (error instanceof Failure) line = error.line
    }
    expect(line).toContain('client-mirror')
    expect(line).not.toContain('s3cret')
  })
})

test.each([
  ['apt', aptKey, 'b97b0afcaa1a47f044f244a07fcc7d46accc4cf8'],
  ['yum on x86_64', yumKeyX64, 'd4bf08ae67a0b4c7a1dbccd240bca2b408b40d20'],
  ['yum on aarch64', yumKeyArm64, 'b031f89fc983e98262906b6e177b343bb9738825'],
])(
  "the key for %s is the PostgreSQL project's, by its fingerprint",
  (_name, armoured, expected) => {
    const body = armoured.split('\n\n')[1]?.split('\n=')[0] ?? ''
    const bytes = Buffer.from(body, 'base64')
    // RFC 4880, 12.2: the SHA-1 of 0x99, the length of the first packet's body, and that body
    const long = bytes[0] === 0x99
    const length = long ? bytes.readUInt16BE(1) : (bytes[1] ?? 0)
    const start = long ? 3 : 2
    const prefix = Buffer.from([0x99, length >> 8, length & 0xff])
    const hash = createHash('sha1')
      .update(prefix)
      .update(bytes.subarray(start, start + length))
    expect(hash.digest('hex')).toBe(expected)
  },
)
