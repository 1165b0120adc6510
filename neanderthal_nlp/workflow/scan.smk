# Scans of many genomes: an index of each, then a table a part, then a genome's parts put together.
# It is run twice, for `indexes` and then for `scans`: only an index tells how many parts there are. A checkpoint would
# have all jobs thought over again after each index, which takes too long where there are a thousand genomes.
# A file of a genome's work has in its name the key of what it is made from: none is taken for that of another genome or
# setting, whether or not Snakemake's notes of earlier runs are there.
# Paths are relative to the folder of the scan (--directory); `config` is written by cli/scan_sheet.py.
import os
import shlex
import signal
import sys
import _thread

from neanderthal_nlp import cli
from neanderthal_nlp.sheet import WORK
from neanderthal_nlp.workflow.cluster import needs

# Jobs end with the run that started them. With --keep-going Snakemake would try each again and go on to the next, so it
# has to end, too. By SIGINT: SIGTERM may hang where it meets Snakemake's lock. What a shell started in the background
# ignores SIGINT unless told otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.end_with_the_run(_thread.interrupt_main)

CLI = shlex.join([sys.executable, "-P", "-m", "neanderthal_nlp.cli"])
GENOMES = config["genomes"]
CACHE = shlex.quote(config["cache"])


def of_genome(name):
    """A value of a job's genome."""
    return lambda wildcards: GENOMES[wildcards.name][name]


def count(name):
    """The file that says how many parts a genome has."""
    return f"{WORK}/{name}/parts.{GENOMES[name]['index_key']}.json"


def parts(wildcards):
    """Tables of a genome's parts, in its order."""
    genome = GENOMES[wildcards.name]
    return [f"{WORK}/{wildcards.name}/{number}.{genome['part_key']}.tsv" for number in range(genome["parts"])]


wildcard_constraints:
    name=r"[A-Za-z0-9_][A-Za-z0-9._-]*",
    number=r"\d+",
    key=r"[0-9a-f]+",


localrules: indexes, scans


rule indexes:
    input:
        [count(name) for name in GENOMES],


rule scans:
    input:
        [f"{WORK}/{name}/calls.json" for name in GENOMES],
        [f"{name}/{file}" for name in GENOMES for file in config["files"]],


# A genome is no input of a rule but, by its size and time of change, part of a key: so it makes its jobs run again
# also where an older file took its place.
rule index:
    output:
        f"{WORK}/{{name}}/parts.{{key}}.json",
    params:
        genome=of_genome("genome"),
        options=of_genome("index_options"),
    threads: 1
    resources:
        **needs("scan"),
    shell:
        "{CLI} scan-index --genome {params.genome:q} {params.options} --cache {CACHE} --work {WORK}/{wildcards.name} "
        "--key {wildcards.key}"


rule part:
    input:
        lambda wildcards: count(wildcards.name),
    output:
        temp(f"{WORK}/{{name}}/{{number}}.{{key}}.tsv"),
    params:
        genome=of_genome("genome"),
        options=of_genome("part_options"),
    threads: 1
    resources:
        **needs("scan"),
    shell:
        "{CLI} scan-part --genome {params.genome:q} {params.options} --cache {CACHE} --work {WORK}/{wildcards.name} "
        "--number {wildcards.number} --key {wildcards.key}"


rule merge:
    input:
        parts,
    output:
        f"{WORK}/{{name}}/calls.json",
        [f"{{name}}/{file}" for file in config["files"]],
    params:
        key=of_genome("key"),
        part_key=of_genome("part_key"),
        parts=of_genome("parts"),
        genome=of_genome("genome"),
        options=lambda wildcards: config["merge_options"],  # no pattern: a folder may have braces in its name
    priority: 1  # so that no more than a few genomes have their parts lying about
    threads: 1
    resources:
        **needs("scan"),
    shell:
        "{CLI} scan-merge --genome {params.genome:q} {params.options} --cache {CACHE} --work {WORK}/{wildcards.name} "
        "--output {wildcards.name} --parts {params.parts} --part-key {params.part_key} --key {params.key}"
