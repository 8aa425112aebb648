// What the page says, in both languages, and how it writes numbers and times.

/** @typedef {"en" | "zh"} Language */

const LANGUAGE_KEY = "intact.language";

const WORDS = {
  en: {
    other: "中文",
    otherLabel: "切换到中文",
    sessions: "Sessions",
    newSession: "New",
    more: "More",
    signOut: "Forget token",
    emptyHeading: "What would you like to know?",
    emptyText: "Ask about this host, about what an agent did and why, or how something works. Every number in an answer can be checked.",
    earlier: "Earlier messages",
    experts: "Who answers",
    anyExpert: "Automatic",
    anyExpertAbout: "The question decides who answers",
    askLabel: "Your question",
    send: "Send",
    stop: "Stop",
    askHint: "Enter sends, Shift+Enter begins a new line",
    signInHeading: "A token is needed",
    signInText: "Paste the token that “intact token add NAME” printed. It is kept until this tab is closed.",
    signInRefused: "That token is not valid.",
    token: "Token",
    signIn: "Go on",
    cancel: "Cancel",
    remove: "Delete",
    removeSession: "Delete this session with its answers?",
    rename: "Rename",
    save: "Save",
    untitled: "Untitled",
    noSessions: "No sessions yet.",
    you: "You",
    working: "Working…",
    steps: (/** @type {number} */ steps, /** @type {number} */ calls) =>
      `${steps} ${steps === 1 ? "step" : "steps"}, ${calls} ${calls === 1 ? "tool call" : "tool calls"}`,
    failedCalls: (/** @type {number} */ n) => `${n} failed`,
    arguments: "Arguments",
    running: "running",
    ok: "done",
    failed: "failed",
    evidence: "Evidence",
    evidenceOpen: "Open evidence",
    evidenceMissing: "This evidence is not kept any more",
    noRows: "No rows",
    rows: (/** @type {number} */ n) => (n === 1 ? "1 row" : `${n} rows`),
    ofTotal: (/** @type {number} */ n, /** @type {number} */ total) => `${n} of ${total} rows`,
    cut: "There were more rows than these.",
    query: "Query",
    range: "Range",
    until: (/** @type {string} */ end) => `until ${end}`,
    hash: "Hash of rows",
    notes: "Notes",
    untrusted: "written on the observed machine, not by Intact",
    allRows: (/** @type {number} */ n) => `Show all ${n} rows`,
    wholeText: "Show all",
    struckHint: "struck out: checking again did not confirm it",
    struck: (/** @type {number} */ n) => `${n} ${n === 1 ? "claim" : "claims"} struck out: checking again did not confirm ${n === 1 ? "it" : "them"}`,
    /** @type {Record<string, string>} */
    verdicts: {
      found: "Something was found",
      nothing_wrong: "Nothing wrong",
      cannot_tell: "Cannot tell",
      refused: "Refused",
      failed: "Failed",
      cancelled: "Stopped",
    },
    noModel: "without a model",
    answered: "Answer complete",
    up: "Good answer",
    down: "Bad answer",
    comment: "What was good or bad about it? (optional)",
    sendComment: "Send comment",
    thanks: "Kept. Thank you.",
    showWork: "Steps and evidence",
    workGone: "The steps and evidence of this answer are not kept any more.",
    broken: "The connection broke; trying again…",
    lost: "The answer can be heard no further. Open the session again to see what was kept.",
    notReached: "The server cannot be reached.",
    sessionGone: "This session does not exist any more.",
    examples: [
      "Is this host healthy?",
      "Which agent runs cost the most today?",
      "Which files did the last run change, and why?",
      "Did any agent read secrets or send data outside?",
      "How long is data kept, and where is that set?",
    ],
  },
  zh: {
    other: "English",
    otherLabel: "Switch to English",
    sessions: "会话",
    newSession: "新会话",
    more: "更多",
    signOut: "清除令牌",
    emptyHeading: "想了解什么？",
    emptyText: "可以问本机状况，问智能体做了什么、为什么这样做，也可以问某项功能怎么用。回答中的每个数字都能核对。",
    earlier: "更早的消息",
    experts: "由谁回答",
    anyExpert: "自动选择",
    anyExpertAbout: "根据问题决定由哪位专家回答",
    askLabel: "输入问题",
    send: "发送",
    stop: "停止",
    askHint: "回车发送，Shift+回车换行",
    signInHeading: "需要访问令牌",
    signInText: "请粘贴“intact token add 名称”输出的令牌，关闭本标签页后自动清除。",
    signInRefused: "令牌无效。",
    token: "令牌",
    signIn: "继续",
    cancel: "取消",
    remove: "删除",
    removeSession: "删除这个会话及其全部回答？",
    rename: "重命名",
    save: "保存",
    untitled: "未命名",
    noSessions: "还没有会话。",
    you: "你",
    working: "处理中…",
    steps: (/** @type {number} */ steps, /** @type {number} */ calls) => `${steps} 个步骤，${calls} 次工具调用`,
    failedCalls: (/** @type {number} */ n) => `${n} 次失败`,
    arguments: "参数",
    running: "执行中",
    ok: "完成",
    failed: "失败",
    evidence: "证据",
    evidenceOpen: "查看证据",
    evidenceMissing: "这条证据已不再保留",
    noRows: "没有数据",
    rows: (/** @type {number} */ n) => `${n} 行`,
    ofTotal: (/** @type {number} */ n, /** @type {number} */ total) => `${n} 行，共 ${total} 行`,
    cut: "实际行数多于此处所列。",
    query: "查询",
    range: "时间范围",
    until: (/** @type {string} */ end) => `截至 ${end}`,
    hash: "数据哈希",
    notes: "说明",
    untrusted: "来自被观测的机器，并非 Intact 所写",
    allRows: (/** @type {number} */ n) => `显示全部 ${n} 行`,
    wholeText: "显示全部",
    struckHint: "已划掉：复核未能证实",
    struck: (/** @type {number} */ n) => `${n} 处说法已划掉：复核未能证实`,
    /** @type {Record<string, string>} */
    verdicts: {
      found: "发现问题",
      nothing_wrong: "未见异常",
      cannot_tell: "无法判断",
      refused: "已拒绝",
      failed: "失败",
      cancelled: "已停止",
    },
    noModel: "未使用模型",
    answered: "回答完毕",
    up: "回答有用",
    down: "回答没用",
    comment: "好在哪里，或者哪里不对？（可不填）",
    sendComment: "提交意见",
    thanks: "已保存，谢谢。",
    showWork: "步骤与证据",
    workGone: "这条回答的步骤和证据已不再保留。",
    broken: "连接中断，正在重连…",
    lost: "无法继续接收这条回答。重新打开会话可查看已保存的内容。",
    notReached: "连不上服务器。",
    sessionGone: "这个会话已经不存在。",
    examples: [
      "这台主机健康吗？",
      "今天哪几次运行最费钱？",
      "最近一次运行改了哪些文件，为什么改？",
      "有没有智能体读过密钥，或者往外发过数据？",
      "怎么配置数据保留时间？",
    ],
  },
};

/** @type {Language} */
let language = chosen();

/** @returns {Language} */
function chosen() {
  try {
    const kept = localStorage.getItem(LANGUAGE_KEY);
    if (kept === "en" || kept === "zh") return kept;
  } catch {
    // storage is forbidden here: the browser's language it is
  }
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** @returns {Language} */
export function languageNow() {
  return language;
}

/** @param {Language} wanted */
export function setLanguage(wanted) {
  language = wanted;
  try {
    localStorage.setItem(LANGUAGE_KEY, wanted);
  } catch {
    // as above
  }
}

/** @returns {typeof WORDS.en} */
export function words() {
  return WORDS[language];
}

/**
 * A point in time in UTC, as the answers write it: they are read in several places and compared with logs.
 * @param {number | bigint} ns since the epoch
 */
export function time(ns) {
  const date = new Date(Number(ns) / 1e6);
  return Number.isNaN(date.getTime()) ? String(ns) : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** @param {number} value @param {number} [digits] */
function number(value, digits = 3) {
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/**
 * A value as a person reads it; the exact one is beside it wherever this is used.
 * @param {unknown} value
 * @param {string | undefined} unit `bytes ns ms s % usd epoch_ns count tokens …`
 * @returns {string}
 */
export function written(value, unit) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" && typeof value !== "bigint") return String(value);
  const amount = Number(value);
  switch (unit) {
    case "epoch_ns":
      return time(value);
    case "bytes":
      return bytes(amount);
    case "ns":
      return duration(amount);
    case "ms":
      return duration(amount * 1e6);
    case "s":
      return duration(amount * 1e9);
    case "%":
      return `${number(amount, 2)}%`;
    case "usd":
      return `$${number(amount, 6)}`;
    case "count":
    case "tokens":
      return typeof value === "bigint" ? value.toLocaleString("en-US") : number(amount);
    default: // it may be an id, which is not to be grouped
      return typeof value === "bigint" || Number.isInteger(amount) ? String(value) : String(Number(amount.toPrecision(8)));
  }
}

/** @param {number} amount */
function bytes(amount) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (Math.abs(amount) >= 1024 && at < units.length - 1) {
    amount /= 1024;
    at += 1;
  }
  return `${number(amount, at ? 2 : 0)} ${units[at]}`;
}

/** @param {number} ns */
export function duration(ns) {
  const size = Math.abs(ns);
  if (size < 1e3) return `${number(ns, 0)} ns`;
  if (size < 1e6) return `${number(ns / 1e3, 1)} µs`;
  if (size < 1e9) return `${number(ns / 1e6, 1)} ms`;
  if (size < 120e9) return `${number(ns / 1e9, 2)} s`;
  if (size < 7200e9) return `${number(ns / 60e9, 1)} min`;
  return `${number(ns / 3600e9, 1)} h`;
}
