import { expect, rows, searched, test } from './base.ts';

test('what comes is shown as it comes; reading stops it, and it says how much is new', async ({ page, own }) => {
  await own.write('POST', 'rooms', { id: 'lobby', name: 'Lobby' });
  for (let i = 0; i < 60; i += 1) await own.say('Ana', `antes ${i}`);
  await page.goto(`${own.url}/record?live=1&query=type:chat.message.*`);
  await searched(page);
  await own.say('Beto', 'recién llegado');
  await expect(rows(page).first()).toContainText('recién llegado');
  await expect(rows(page).nth(1)).toContainText('antes 59');

  // Paused with Space: nothing moves, what is new is counted.
  await page.getByRole('listbox').focus();
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Go on' })).toBeVisible();
  await own.say('Beto', 'durante la pausa');
  await expect(page.getByRole('button', { name: '1 new' })).toBeVisible();
  await expect(rows(page).first()).toContainText('recién llegado');
  await page.keyboard.press('Space');
  await expect(rows(page).first()).toContainText('durante la pausa');

  // Further down the same, without a pause.
  await page.getByRole('listbox').evaluate((list) => (list.scrollTop = 800));
  await expect(rows(page).filter({ hasText: 'durante la pausa' })).toHaveCount(0);
  await own.say('Beto', 'mientras se lee');
  await page.getByRole('button', { name: '1 new' }).click();
  await expect(rows(page).first()).toContainText('mientras se lee');

  // What does not fit the search does not come.
  await own.write('POST', 'rooms', { id: 'patio', name: 'Patio' });
  await own.say('Beto', 'y sigue');
  await expect(rows(page).first()).toContainText('y sigue');
  await expect(rows(page).filter({ hasText: 'chat.room.opened' })).toHaveCount(0);
});

test('what comes too fast to be shown is counted, and on the record', async ({ page, own }) => {
  await own.votes(1);
  await page.goto(`${own.url}/record?live=1`);
  await searched(page);
  await own.votes(3_000, '--users', '32');
  await expect(page.getByText(/[\d,]+ events skipped/)).toBeVisible();
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await expect(page.getByRole('region', { name: 'Events over time' })).toContainText(/3,00\d events/);
});

test.describe('a gateway that goes away', () => {
  test.use({
    complaints: { allowed: [/Failed to load resource: net::ERR/, /status of 50\d/, /ERR_INCOMPLETE_CHUNKED_ENCODING/] },
  });

  test('is waited for, and nothing is missed', async ({ page, own }) => {
    await own.write('POST', 'rooms', { id: 'lobby', name: 'Lobby' });
    await own.say('Ana', 'antes');
    await page.goto(`${own.url}/record?live=1`);
    await searched(page);
    await expect(page.getByRole('banner')).toContainText('Connected');
    await own.stop();
    await expect(page.getByRole('banner')).toContainText(/No answer\. Trying/);
    await expect(rows(page).filter({ hasText: 'antes' })).toHaveCount(1);
    await own.start();
    // Written before the page is back: it resumes by position.
    await own.say('Beto', 'ya volvió');
    await page
      .getByRole('button', { name: 'Try now' })
      .click({ timeout: 5_000 })
      .catch(() => {});
    await expect(page.getByRole('banner')).toContainText('Connected');
    await expect(rows(page).first()).toContainText('ya volvió');
    await expect(rows(page).filter({ hasText: 'antes' })).toHaveCount(1);
  });

  test('a page that is opened while nobody answers says so, and comes to life', async ({ page, own }) => {
    await own.write('POST', 'rooms', { id: 'lobby', name: 'Lobby' });
    await page.goto(`${own.url}/live`);
    await own.stop();
    await page.getByRole('link', { name: 'Record', exact: true }).click();
    await expect(page.getByRole('heading', { name: 'The record cannot be read now' })).toBeVisible();
    await own.start();
    await expect(rows(page).filter({ hasText: 'chat.room.opened' })).toBeVisible();
  });
});

test('an empty record says what to do, and fills by itself', async ({ page, own }) => {
  await page.goto(`${own.url}/record?from=all&live=1`);
  await expect(page.getByText('The record is empty')).toBeVisible();
  await own.write('POST', 'rooms', { id: 'lobby', name: 'Lobby' });
  await expect(rows(page).filter({ hasText: 'chat.room.opened' })).toBeVisible();
});
