export { type RoleCatalog, readRoleCatalog } from '../../postgres/role-catalog.ts'
