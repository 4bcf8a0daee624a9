/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that a BIOS starts (ci/mkdisk makes it), in sectors of 512 bytes:
 *
 *     0                      boot.S, and the partition table
 *     1 .. PLAN_SECTORS      the plan: what goes where in memory, what to start
 *     after it               the runs that the plan names
 *
 * Below 1 MiB boot.S uses what is here. Numbers only: shared by assembly and Python, which takes
 * the lines of the form "#define NAME NUMBER".
 */
#ifndef PLATFORM_BOARD_DISK_PLAN_H
#define PLATFORM_BOARD_DISK_PLAN_H

#define BOOT_BASE    0x7c00 /* where a BIOS puts sector 0 */
#define PLAN_BASE    0x8000 /* the plan */
#define PLAN_SECTORS 8
#define MAP_BASE     0x9000 /* the BIOS's memory map, as PVH has it */
#define MAP_ENTRY    24
#define MAP_MOST     128     /* entries */
#define BUFFER_BASE  0x10000 /* what is on its way from the disk to its place */
#define BUFFER_MOST  127     /* sectors: the BIOS's limit (EDD 3.0, function 42h) */

/* The plan's head: offsets. The rest of it is PVH's start information and what that points to. */
#define PLAN_MAGIC  0x00 /* PLAN_IS_ONE */
#define PLAN_ENTRY  0x04 /* physical address of the PVH entry */
#define PLAN_INFO   0x08 /* physical address of hvm_start_info, in the plan */
#define PLAN_COUNT  0x0c /* of runs */
#define PLAN_RUNS   0x10 /* PLAN_COUNT times: */
#define RUN_LBA     0x00
#define RUN_SECTORS 0x04
#define RUN_ADDRESS 0x08 /* physical, at least 1 MiB */
#define RUN_SIZE    0x0c

#define PLAN_IS_ONE      0x706b6364
#define INFO_MAP_ENTRIES 48 /* in hvm_start_info */

#endif
