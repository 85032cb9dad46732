/** What a phone keeps: what it took into its cart, and the ids it knows. On disk before anybody is told so. */

const WEEK = 7 * 86400e3;

/** The shelf of one run of the demo and one cart; those of other runs are thrown away. */
export async function open(run, cart) {
  for (const { name } of (await indexedDB.databases?.()) ?? []) {
    if (name.startsWith("cartwire-demo-") && !name.startsWith(`${run} `)) indexedDB.deleteDatabase(name);
  }
  const asked = indexedDB.open(`${run} ${cart}`, 1);
  asked.onupgradeneeded = () => {
    asked.result.createObjectStore("items", { autoIncrement: true });
    asked.result.createObjectStore("known");
  };
  const shelf = new Shelf(await done(asked));
  await shelf.forget(Date.now() - WEEK);
  return shelf;
}

class Shelf {
  constructor(database) {
    this.database = database;
  }

  /** @returns {Promise<{event: object, state: "cart" | "paid" | "removed"}[]>} the oldest first */
  async items() {
    return done(this.write("readonly").objectStore("items").getAll());
  }

  /** Takes an event in, once. @returns {Promise<boolean>} whether it was new */
  async take(event) {
    const transaction = this.write();
    const items = transaction.objectStore("items");
    const known = transaction.objectStore("known");
    const fresh = (await done(known.getKey(event.id))) === undefined;
    if (fresh) {
      known.put(Date.now(), event.id);
      if (event.type === "cartwire.cart.item_added.v1") items.add({ event, state: "cart" });
      if (event.type === "cartwire.cart.item_removed.v1") {
        known.put(Date.now(), event.data.event); // if the addition comes later, it is not taken
        await each(items, (item) => item.event.id === event.data.event && { ...item, state: "removed" });
      }
    }
    await finished(transaction);
    return fresh;
  }

  /** The cart is paid: it is empty, and what was in it stays known. */
  async pay() {
    const transaction = this.write();
    await each(transaction.objectStore("items"), (item) => item.state === "cart" && { ...item, state: "paid" });
    await finished(transaction);
  }

  /** Forgets the ids that came before that time. */
  async forget(before) {
    const transaction = this.write();
    await each(transaction.objectStore("known"), (at) => (at < before ? null : false));
    await finished(transaction);
  }

  write(mode = "readwrite") {
    return this.database.transaction(["items", "known"], mode, { durability: "strict" });
  }
}

/** Goes through a store; `change` says what a value becomes, null that it goes, false that it stays. */
function each(store, change) {
  return new Promise((resolve, reject) => {
    const walk = store.openCursor();
    walk.onerror = () => reject(walk.error);
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (!cursor) return resolve();
      const value = change(cursor.value);
      if (value === null) cursor.delete();
      else if (value) cursor.update(value);
      return cursor.continue();
    };
  });
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}
