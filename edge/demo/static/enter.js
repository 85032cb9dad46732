/** In by a link that works once: `/enter#TOKEN/where`. What stands behind # is sent to nobody by itself. */

const [token, ...where] = location.hash.slice(1).split("/");

/** Why nobody is let in: "used", "expired", "unknown", "unreachable"; nothing for who is. */
async function enter() {
  try {
    const how = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) };
    const answer = await fetch("/enter", how);
    return answer.ok ? "" : (await answer.json()).why;
  } catch {
    return "unreachable"; // the link is as good as before, and stays in the address
  }
}

const why = await enter();
if (why !== "unreachable") history.replaceState(null, "", "/enter");
if (why) document.getElementById(why).hidden = false;
else location.replace(`/${where.join("/")}`);
