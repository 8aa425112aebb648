"""The host expert: plain questions in two languages with cited values, and a diagnosis in the asker's language."""

import os
from pathlib import Path

import pytest
from bench.diagnosis.faults import disk_full, stuck_process
from bench.diagnosis.stage import Stage, Unable

from intact.assist.asking import Asker, Language
from intact.assist.diagnosis.hypothesis import Fault
from intact.assist.experts.host import EXPERT, weight
from intact.assist.experts.host_topics import asked
from intact.assist.experts.host_words import WORDS
from intact.assist.servers.host import TOOLS
from intact.assist.tool import Parts
from intact.collect.host_state import LocalHost
from tests.assist.diagnosis.asking_host import ask, parts_of, question

TOPICS = [
    ("根分区用了多少磁盘空间？", "space"), ("How full is the disk at /?", "space"), ("inode 使用情况", "inodes"),
    ("内存还剩多少", "memory"), ("How much memory is free?", "memory"), ("交换分区用了多少", "swap"),
    ("这台机器有几个 CPU 核？", "cpu_count"), ("how many cpus does this machine have", "cpu_count"),
    ("CPU 使用率", "cpu"), ("当前负载多少", "load"), ("load average?", "load"), ("系统运行多久了", "uptime"),
    ("uptime of this host", "uptime"), ("有多少个进程", "process_count"), ("how many processes are there", "process_count"),
    ("有没有僵尸进程", "zombies"), ("are there zombie processes", "zombies"), ("监听了哪些端口", "ports"),
    ("what ports are listening?", "ports"), ("TCP 连接数", "connections"), ("打开的文件描述符有多少", "fds"),
    ("磁盘 IO 情况", "disk_io"), ("网络流量", "traffic"), ("网卡状态", "interfaces"), ("错误日志", "error_logs"),
    ("失败的服务", "services"), ("已删除但仍被打开的文件", "deleted_files"), ("本机主机名是什么", "hostname"),
    ("主机概况", "overview"), ("诊断一下这台主机", "diagnose"), ("what is wrong with this host?", "diagnose"),
    ("机器好卡，帮我看看", "diagnose"), ("哪些指标异常", "baseline"), ("how many threads are running", "thread_count"),
]  # fmt: skip


@pytest.fixture(scope="module")
def parts() -> Parts:
    return parts_of(LocalHost())


@pytest.mark.parametrize(("text", "topic"), TOPICS)
def test_topics(text: str, topic: str) -> None:
    assert topic in asked(question(text)).topics
    assert weight(question(text)) >= 0.5


@pytest.mark.parametrize(
    "text",
    [
        "why did the agent delete config.yaml",
        "智能体昨天花了多少钱",
        "hello",
        "what is a zombie process",
        "如何配置日志级别",
    ],
)
def test_what_is_no_question_about_a_host_weighs_little(text: str) -> None:
    assert weight(question(text)) <= 0.4


@pytest.mark.parametrize(
    "text", ["内存用了多少", "how many cpus", "哪个进程占用内存最多？", "top 3 processes by memory", "网络流量"]
)
def test_every_value_is_a_cell_of_evidence(parts: Parts, text: str) -> None:
    report, shown, evidence = ask(text, parts)
    assert report is not None
    assert report.verdict == "answered"
    assert "[e1]" in shown
    assert "{" not in shown
    for statement in report.statements:
        for value in statement.values.values():
            answer = evidence[value.evidence_id].answer
            assert value.how == "count" or (value.column in answer.columns and value.row < len(answer.rows))


def test_the_number_of_processors_is_true(parts: Parts) -> None:
    assert f"{os.cpu_count()} CPU" in ask("how many cpus does this machine have", parts)[1]
    assert f"{os.cpu_count()} 个" in ask("这台机器有几个 CPU 核？", parts)[1]


def test_as_many_as_are_wanted(parts: Parts) -> None:
    report, _, _ = ask("内存占用前三的进程", parts)
    assert report is not None
    assert len(report.statements) == 3


def test_another_host_cannot_be_told(parts: Parts) -> None:
    for text, words in (("检查 web-9 的内存", "没有这台主机"), ("memory on web-9?", "there is no such host")):
        report, shown, _ = ask(text, parts)
        assert report is not None
        assert report.verdict == "cannot_tell"
        assert words in shown


def test_who_may_not_see_this_host_is_told_the_same(parts: Parts) -> None:
    report, shown, evidence = ask("内存用了多少", parts, asker=Asker(name="x", hosts=()))
    assert report is not None
    assert (report.verdict, evidence) == ("cannot_tell", {})
    assert "没有这台主机" in shown


def test_what_is_about_no_host_is_left_to_others(parts: Parts) -> None:
    assert ask("hello there", parts)[0] is None


def test_a_diagnosis_names_faults_in_both_languages(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage") as stage:
        try:
            expected = disk_full(stage) | stuck_process(stage)
        except Unable as error:
            pytest.skip(str(error))
        parts = parts_of(LocalHost(stage.within))
        zh, shown_zh, _ = ask("帮我诊断这台主机", parts)
        en, shown_en, _ = ask("go on", parts, direct=True)  # the button: without words it diagnoses
    for report, shown in ((zh, shown_zh), (en, shown_en)):
        assert report is not None
        assert report.verdict == "found"
        assert {(each["fault"], each["object"]) for each in report.detail["causes"]} == expected
        assert all(thing in shown for _, thing in expected)
    assert "磁盘写满" in shown_zh
    assert "disk full" in shown_en


def test_nothing_wrong_is_an_answer(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage") as stage:
        stage.run("ready()\ntime.sleep(60)")
        report, shown, _ = ask("诊断", parts_of(LocalHost(stage.within)))
    assert report is not None
    assert report.verdict == "nothing_wrong"
    assert "未发现问题" in shown


def test_the_expert_is_whole() -> None:
    names = {f"host.{tool.name}" for tool in TOOLS}
    assert 5 <= len(EXPERT.tools) <= 10
    assert set(EXPERT.tools) <= names
    assert EXPERT.id == "host_diagnosis"
    for fault in Fault:
        for texts in (WORDS[fault].name, WORDS[fault].found, WORDS[fault].remedy):
            assert all(texts[language] for language in Language)
