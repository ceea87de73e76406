import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Cabildo } from './cabildo.ts';
import { drawer, expect, rows, searched, test } from './base.ts';

const PREFIX = '/town/hall';

/** A reverse proxy that serves the gateway under a path, as nginx does with `proxy_pass` and a path. */
async function proxy(target: string): Promise<{ url: string; server: Server }> {
  const server = createServer((incoming, outgoing) => {
    const { url = '/', method, headers } = incoming;
    if (!url.startsWith(`${PREFIX}/`)) {
      outgoing.writeHead(404).end();
      return;
    }
    const forward = request(
      new URL(url.slice(PREFIX.length), target),
      { method, headers: { ...headers, host: new URL(target).host } },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    outgoing.on('close', () => forward.destroy());
    forward.on('error', () => outgoing.destroy());
    incoming.pipe(forward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${PREFIX}`, server };
}

test('everything works under a path of a reverse proxy', async ({ page, town: { cabildo, story } }) => {
  const { url, server } = await proxy(cabildo.url);
  Cabildo.tokens.set(new URL(url).origin, cabildo.token);
  try {
    const strayed: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:')) strayed.push(request.url());
    });
    await page.goto(`${url}/`);
    await searched(page);
    await rows(page).first().click();
    await expect(drawer(page)).toBeVisible();
    await page.getByRole('button', { name: 'Follow live' }).click();
    await expect(page).toHaveURL(new RegExp(`^${url}/record\\?`));
    await page.getByRole('link', { name: 'Live', exact: true }).click();
    await expect(page).toHaveURL(`${url}/live`);
    await expect(page.getByRole('heading', { name: '¿La mejor banda?' })).toBeVisible();
    await page.reload();
    await expect(page.getByRole('row')).not.toHaveCount(0);
    await page.goto(`${url}/record?event=${story.answer}&tab=graph`);
    await expect(drawer(page).getByRole('listitem')).toHaveCount(3);
    expect(strayed).toEqual([]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test.describe('policy', () => {
  test.use({ complaints: { allowed: [/Content Security Policy/, /Executing inline script/] } });

  test('the policy of the pages forbids what they do not need', async ({ page, town: { cabildo } }) => {
    const response = await page.goto(`${cabildo.url}/record`);
    const policy = response?.headers()['content-security-policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    await searched(page);
    // And the browser holds to it.
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'document.title = "run"';
      return new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', (violation) => resolve(violation.violatedDirective), {
          once: true,
        });
        document.head.append(script);
      });
    });
    expect(ran).toContain('script-src');
  });
});
