/**
 * Where the front end is served: `/`, or the path that a reverse proxy gives it. Every built script lies one folder below, so
 * its own address tells. (While developing, scripts are served from where they stand, and the front end from `/`.)
 */
export const base: string = import.meta.env.PROD ? new URL(/* @vite-ignore */ '../', import.meta.url).pathname : '/';

/** An address of the gateway, for example `api/v1/events`. */
export function address(path: string, params?: Params): string {
  const search = params === undefined ? '' : encode(params);
  return `${base}${path}${search === '' ? '' : `?${search}`}`;
}

export type Params = Record<string, string | number | undefined>;

function encode(params: Params): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') search.append(name, String(value));
  }
  return search.toString();
}
