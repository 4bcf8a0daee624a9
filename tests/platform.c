/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE /* memfd_create */
#include "tests/platform.h"

#include <malloc.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t test_now_ns;
uint64_t test_deadline_ns[TEST_CPUS];
unsigned test_kicks[TEST_CPUS];
void (*test_on_idle)(void);
void (*test_on_irq_window)(void);
unsigned test_fail_alloc;
uint64_t test_allocated;
void *test_panic_jump;

static struct hc_cpu cpus[TEST_CPUS];
static struct hc_cpu *this_cpu;
static char log_text[1 << 16];
static size_t log_len;
static char panic_message[256];
static bool irq_enabled;

void test_platform_init(unsigned count)
{
	/* Guests come and go by the hundred: what they had is taken again, and not faulted in anew.
	 */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	memset(cpus, 0, sizeof(cpus));
	memset(test_kicks, 0, sizeof(test_kicks));
	hc_sched_init(NULL);
	for (unsigned i = 0; i < count; i++) {
		cpus[i].id = i;
		cpus[i].hw_id = i;
		hc_sched_add_cpu(&cpus[i]);
		test_deadline_ns[i] = UINT64_MAX;
	}
	this_cpu = &cpus[0];
	test_now_ns = 1000000000;
	test_on_idle = test_on_irq_window = NULL;
	test_fail_alloc = 0;
	log_len = 0;
	log_text[0] = panic_message[0] = '\0';
	test_panic_jump = NULL;
}

void test_platform_be(unsigned cpu)
{
	this_cpu = &cpus[cpu];
}

void test_stop_loop(void)
{
	atomic_store(&this_cpu->stop, true);
}

void test_run_loop(void)
{
	hc_sched_loop(this_cpu);
	atomic_store(&this_cpu->stop, false);
}

void test_run_until_idle(void)
{
	test_on_idle = test_stop_loop;
	test_run_loop();
	test_on_idle = NULL;
}

static bool failing(void)
{
	return test_fail_alloc && --test_fail_alloc == 0;
}

static void *get(size_t align, size_t size, int fill)
{
	void *p = failing() ? NULL : aligned_alloc(align, HC_ALIGN_UP(size, align));

	if (p) {
		memset(p, fill, size);
		test_allocated += size;
	}
	return p;
}

void *hc_platform_alloc_pages(unsigned order)
{
	return get(HC_PAGE_SIZE << order, HC_PAGE_SIZE << order, 0);
}

void *hc_platform_alloc_raw(unsigned order)
{
	return get(HC_PAGE_SIZE << order, HC_PAGE_SIZE << order, 0xe5);
}

void hc_platform_clear(void *p, uint64_t size)
{
	memset(p, 0, size);
}

void hc_platform_free_pages(void *p, unsigned order)
{
	test_allocated -= HC_PAGE_SIZE << order;
	free(p);
}

void *hc_platform_alloc(size_t size)
{
	return get(64, size, 0);
}

void hc_platform_free(void *p, size_t size)
{
	test_allocated -= p ? size : 0;
	free(p);
}

void *hc_platform_alloc_code(size_t size, void **writable)
{
	int fd = failing() ? -1 : memfd_create("test code", MFD_CLOEXEC);
	void *code;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return NULL;
	*writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	code = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	close(fd);
	return code == MAP_FAILED || *writable == MAP_FAILED ? NULL : code;
}

hpa_t hc_platform_to_hpa(const void *p)
{
	return hpa_of((uintptr_t)p);
}

void *hc_platform_from_hpa(hpa_t pa)
{
	return (void *)(uintptr_t)pa.v;
}

unsigned hc_platform_max_order(void)
{
	return 12;
}

uint64_t hc_platform_now_ns(void)
{
	return test_now_ns;
}

uint64_t hc_platform_cycles(void)
{
	return test_now_ns;
}

uint64_t hc_platform_cycles_hz(void)
{
	return 1000000000;
}

uint64_t hc_platform_wall_clock(void)
{
	return 1700000000;
}

struct hc_cpu *hc_platform_this_cpu(void)
{
	return this_cpu;
}

bool hc_platform_irq_disable(void)
{
	bool was = irq_enabled;

	irq_enabled = false;
	return was;
}

void hc_platform_irq_restore(bool enabled)
{
	irq_enabled = enabled;
}

void hc_platform_irq_window(void)
{
	if (test_on_irq_window)
		test_on_irq_window();
}

void hc_platform_set_deadline(uint64_t deadline_ns)
{
	test_deadline_ns[this_cpu->id] = deadline_ns;
}

void hc_platform_idle(void)
{
	if (test_on_idle)
		test_on_idle();
}

void hc_platform_kick(struct hc_cpu *cpu)
{
	test_kicks[cpu->id]++;
	atomic_store(&cpu->attention, true);
}

void hc_platform_relax(void)
{
	sched_yield();
}

void hc_platform_log(const char *line, size_t len)
{
	if (log_len + len + 2 < sizeof(log_text)) {
		memcpy(log_text + log_len, line, len);
		log_len += len;
		log_text[log_len++] = '\n';
		log_text[log_len] = '\0';
	}
	if (getenv("HC_TEST_LOG"))
		fprintf(stderr, "%.*s\n", (int)len, line);
}

const char *test_log(void)
{
	return log_text;
}

void hc_platform_panic(const char *message)
{
	snprintf(panic_message, sizeof(panic_message), "%s", message);
	if (test_panic_jump)
		longjmp(*(jmp_buf *)test_panic_jump, 1);
	fprintf(stderr, "panic: %s\n", message);
	abort();
}

const char *test_panic_message(void)
{
	return panic_message;
}
