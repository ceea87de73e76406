import { readFileSync } from 'node:fs';
import { drawer, expect, rows, search, searched, test } from './base.ts';

test('histogram, facets and list tell of the same events', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record`);
  await searched(page);
  const total = (await cabildo.read<{ total: number }>('events/hits?step=1d')).total;
  await expect(page.getByRole('region', { name: 'Events over time' })).toContainText(
    `${total.toLocaleString('en-GB')} events`,
  );
  // Stacked by type, in the colours that the facets and the rows have.
  const bars = page.locator('svg rect[data-type]');
  await expect(bars.first()).toBeVisible();
  const fills = await bars.evaluateAll((all) =>
    Object.fromEntries(all.map((bar) => [bar.getAttribute('data-type'), bar.getAttribute('fill')])),
  );
  expect(Object.keys(fills)).toContain('poll.ballot.cast');
  expect(new Set(Object.values(fills)).size).toBe(Object.keys(fills).length);
  await expect(page.getByRole('listbox').locator('[aria-setsize]').first()).toHaveAttribute(
    'aria-setsize',
    String(total),
  );
});

test('a facet includes with a click, excludes with Alt, and the address says so', async ({
  page,
  town: { cabildo },
}) => {
  await page.goto(`${cabildo.url}/record`);
  await searched(page);
  const facets = page.getByRole('complementary', { name: 'Narrow down' });
  await facets.getByRole('button', { name: /^chat\.message\.posted/ }).click();
  await expect(page.getByRole('searchbox')).toHaveValue('type:chat.message.posted');
  await expect(page).toHaveURL(/query=type:chat\.message\.posted/);
  await expect(rows(page).filter({ hasText: 'chat.message.posted' })).not.toHaveCount(0);
  await expect(rows(page).filter({ hasText: 'poll.ballot.cast' })).toHaveCount(0);
  await expect(facets.getByRole('button', { name: /^chat\.message\.posted/ })).toHaveAttribute('aria-pressed', 'true');
  // Again: away.
  await facets.getByRole('button', { name: /^chat\.message\.posted/ }).click();
  await expect(page.getByRole('searchbox')).toHaveValue('');
  await facets.getByRole('button', { name: /^poll\.ballot\.cast/ }).click({ modifiers: ['Alt'] });
  await expect(page.getByRole('searchbox')).toHaveValue('-type:poll.ballot.cast');
  await expect(rows(page).filter({ hasText: 'poll.ballot.cast' })).toHaveCount(0);
  // The same without a mouse: there is a button for it.
  await facets.getByRole('button', { name: 'Without actor:Ana' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('searchbox')).toHaveValue('-type:poll.ballot.cast -actor:Ana');
  await expect(rows(page).filter({ hasText: 'Ana' })).toHaveCount(0);
  // The browser's way back is a way back.
  await page.goBack();
  await expect(page.getByRole('searchbox')).toHaveValue('-type:poll.ballot.cast');
});

test('a value that does not fit is found by its name', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record?from=all&query=type:poll.ballot.cast`);
  await searched(page);
  const facets = page.getByRole('complementary', { name: 'Narrow down' });
  await facets.getByRole('textbox', { name: 'Find a value: Actor' }).fill('voter-399');
  await facets.getByRole('button', { name: /^voter-399 1$/ }).click();
  await expect(page.getByRole('searchbox')).toHaveValue('type:poll.ballot.cast actor:voter-399');
  await expect(rows(page)).toHaveCount(1);
});

test('a drag over the histogram zooms, also by the keyboard, and out again', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record?from=-15m`);
  await searched(page);
  const slider = page.getByRole('slider', { name: /Events over time/ });
  const box = (await slider.boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.01, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/from=20\d\d-.*to=20\d\d-/);
  await searched(page);
  const span = () => {
    const params = new URL(page.url()).searchParams;
    return Date.parse(params.get('to') ?? '') - Date.parse(params.get('from') ?? '');
  };
  const dragged = span();
  await slider.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Shift+ArrowRight');
  await expect(slider).toHaveAttribute('aria-valuetext', /^Selected: /);
  await page.keyboard.press('Enter');
  await expect.poll(span).toBeLessThan(dragged);
  await searched(page);
  const zoomed = span();
  await page.getByRole('button', { name: 'Zoom out' }).click();
  await expect.poll(() => !(span() <= zoomed)).toBe(true);
});

test('times: presets, a range of one’s own, UTC or local', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record`);
  await searched(page);
  const time = page.getByRole('combobox', { name: 'Time', exact: true });
  await time.selectOption('Last 15 minutes');
  await expect(page).toHaveURL(/from=-15m/);
  await searched(page);
  const local = await rows(page).first().locator('time').textContent();
  await page.getByRole('combobox', { name: 'Time zone' }).selectOption('UTC');
  await expect(page).toHaveURL(/zone=utc/);
  const utc = await rows(page).first().locator('time').textContent();
  const hours = (text: string | null) => Date.parse(`${text?.replace(' ', 'T')}Z`) / 3_600_000;
  expect(hours(utc) - hours(local)).toBeCloseTo(6);
  await time.selectOption('From – to');
  await page.getByLabel('From', { exact: true }).fill('2020-01-01T00:00:00');
  await page.getByLabel('To (empty: now)').fill('2020-01-02T00:00:00');
  await page.getByRole('button', { name: 'Apply' }).click();
  await expect(page).toHaveURL(/from=2020-01-01T00:00:00\.000Z&to=2020-01-02T00:00:00\.000Z/);
  await expect(page.getByRole('heading', { name: 'Nothing found' })).toBeVisible();
  await page.getByRole('button', { name: 'Look at all of the time' }).click();
  await expect(rows(page).first()).toBeVisible();
});

test('an event in full: data, metadata, neighbours, JSON; and what can be taken along', async ({
  page,
  town: { cabildo, story },
}) => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto(`${cabildo.url}/record?event=${story.answer}`);
  await expect(drawer(page)).toContainText('Yo la traigo el sábado');
  await drawer(page).getByRole('tab', { name: 'Metadata' }).click();
  await expect(drawer(page).getByText('Caused by')).toBeVisible();
  await expect(drawer(page).getByText('chat/lobby')).toBeVisible();
  await drawer(page).getByRole('tab', { name: 'Context' }).click();
  const around = drawer(page).getByRole('listitem');
  await expect(around.filter({ hasText: '¿Quién trae la marimba?' })).toBeVisible();
  await expect(around.locator('[aria-current]')).toContainText('sábado');
  const all = await around.count();
  await drawer(page).getByLabel('Look').selectOption('Same aggregate');
  await expect.poll(() => around.count()).toBeLessThan(all);
  await drawer(page).getByRole('tab', { name: 'Raw' }).click();
  await expect(drawer(page).getByText('"specversion": "1.0"')).toBeVisible();
  await drawer(page).getByRole('button', { name: 'Copy JSON' }).click();
  await expect(page.getByText('The event is on the clipboard')).toBeVisible();
  const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText())) as { position: string };
  expect(copied.position).toBe(story.answer);
});

test('what was found is exported, as lines of JSON and as a table', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record?from=all&query=room:lobby`);
  await searched(page);
  for (const [name, first] of [
    ['NDJSON', /^\{"specversion"/],
    ['CSV', /^position,/],
  ] as const) {
    await page.getByRole('button', { name: 'Export' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: new RegExp(name) }).click();
    const text = readFileSync(await (await download).path(), 'utf8');
    expect(text).toMatch(first);
    expect(text).toContain('marimba');
    expect(text).not.toContain('poll.ballot.cast');
  }
});

test.describe('what cannot be searched for', () => {
  test.use({ complaints: { allowed: [/status of 422/, /status of 404/] } });

  test('is said, and where', async ({ page, town: { cabildo } }) => {
    await page.goto(`${cabildo.url}/record`);
    await searched(page);
    await search(page, 'type:poll.opened colour:red');
    await expect(page.getByRole('alert').locator('mark')).toHaveText('colour');
    await expect(page.getByRole('searchbox')).toHaveAttribute('aria-invalid', 'true');
    await expect(page.getByRole('searchbox')).toBeFocused();
    // What was found before is still there.
    await expect(rows(page).first()).toBeVisible();
    await search(page, 'type:poll.opened');
    await expect(page.getByRole('alert')).toHaveCount(0);
    await expect(rows(page)).toHaveCount(1);
  });

  test('an event that is not there', async ({ page, town: { cabildo } }) => {
    await page.goto(`${cabildo.url}/record?event=0-99999999`);
    await expect(drawer(page)).toContainText('There is no event at 0-99999999.');
  });
});

test('columns are chosen, and the address remembers', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record`);
  await searched(page);
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('checkbox', { name: 'Position' }).check();
  await page.getByRole('checkbox', { name: 'Actor' }).uncheck();
  await expect(page).toHaveURL(/columns=time,type,aggregate,summary,position/);
  await expect(rows(page).first()).toContainText(/0-\d+/);
  await page.reload();
  await expect(rows(page).first()).toContainText(/0-\d+/);
});

test.describe('an expression', () => {
  test.use({ complaints: { allowed: [/status of 422/] } });

  test('finds what no query can, and what is wrong with it is shown', async ({ page, town: { cabildo } }) => {
    await page.goto(`${cabildo.url}/record?from=all`);
    await searched(page);
    await page.getByRole('button', { name: 'Expression' }).click();
    const field = page.getByRole('textbox', { name: 'Expression that must hold' });
    await field.fill('event.actr == "Ana" && actor == "Ana"');
    await field.press('Enter');
    await expect(page.getByRole('alert')).toContainText('there is no `actor`');
    await expect(page.getByRole('alert').locator('mark')).toHaveText('actor');
    await expect(field).toHaveAttribute('aria-invalid', 'true');

    await field.fill('event.type == "poll.ballot.cast" && event.data.voter.endsWith("-399")');
    await field.press('Enter');
    await expect(rows(page)).toHaveCount(1);
    await expect(rows(page)).toContainText('voter-399');
    await expect(page).toHaveURL(/filter=event\.type/);
    // The link leads to the same, and closing the field leaves the expression away.
    await page.reload();
    await expect(rows(page)).toHaveCount(1);
    await expect(field).toHaveValue(/endsWith/);
    await page.getByRole('button', { name: 'Expression' }).click();
    await expect(page).not.toHaveURL(/filter=/);
    await expect(rows(page)).not.toHaveCount(1);
  });
});
