/* SPDX-License-Identifier: BSD-2-Clause */
/* The board's one program: read what is to be done, start the VMs, wait, report. */
#include <hypercore/errno.h>
#include <hypercore/freestanding.h>
#include <hypercore/vm.h>

#include "core/log.h"
#include "core/sched.h"
#include "platform/board/board.h"
#include "platform/board/console.h"
#include "platform/board/fbcon.h"
#include "platform/board/log_chardev.h"
#include "platform/board/modules.h"

#define CONFIG_NAME "hypercore.conf"

struct board_vm {
	const struct board_vm_config *config;
	struct hc_vm *vm; /* NULL: could not be created */
	char problem[192];
	struct log_chardev logs[2];
};

static struct board_config config;
static struct board_vm vms[BOARD_MAX_VMS];
static const struct hc_backend_ops *backend, *other; /* other: NULL, or what vCPUs move to */
static bool spare_boot_cpu; /* CPU 0 is enabled like the others, and runs no guests */
static _Atomic unsigned running;
static _Atomic bool all_well = true;

static const char *const serial_names[] = { "none", "log", "com1", "com2", "com3", "com4" };

/* --- What is to be done --- */

static int read_config(const struct board_boot_info *info)
{
	const struct module *m;
	int err = modules_init(info), err_cmdline;

	board_config_init(&config);
	m = modules_find(CONFIG_NAME);
	if (!err && m)
		err = board_config_parse(&config, CONFIG_NAME, m->data, m->size);
	err_cmdline = board_config_cmdline(&config, info->cmdline);
	if (!err)
		err = err_cmdline;
	if (!err && !m)
		err = hc_error(-ENOENT, "there is no file %s among the %u modules", CONFIG_NAME,
		               modules_count());
	if (!err && !config.vm_count)
		err = hc_error(-ENOENT, "%s has no section [vm NAME]", CONFIG_NAME);
	board_set_end(config.end);
	return err;
}

static void fb_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	fbcon_write(line, len);
	fbcon_write("\n", 1);
}

static void attach_framebuffer(const struct board_framebuffer *fb)
{
	void *mapped =
		fb->base ? board_map_framebuffer(fb->base, (uint64_t)fb->pitch * fb->height) : NULL;

	if (mapped && fbcon_init(fb, mapped) == 0)
		console_attach(fb_line, NULL);
}

static void attach_port(void)
{
	if (config.console != BOARD_SERIAL_NONE && board_attach_serial(config.console))
		hc_log(HC_LOG_WARN, "console = %s: the machine does not have that port",
		       serial_names[config.console]);
}

static void attach_consoles(const struct board_boot_info *info)
{
	attach_port();
	if (config.console_framebuffer)
		attach_framebuffer(&info->framebuffer);
}

/* --- Backend --- */

/* What it says of itself goes to the log and to *found. */
static bool usable(const struct hc_backend_ops *b, struct hc_backend_info *found)
{
	*found = (struct hc_backend_info){ 0 };
	int err = b->probe(found);

	hc_log(HC_LOG_INFO, "backend %s: %s%s", b->name, err ? "not usable: " : "", found->reason);
	return err == 0;
}

/* The first one of the list that is usable, or the one of that name; NULL: explained. */
static const struct hc_backend_ops *choose(const char *name, struct hc_backend_info *found)
{
	bool any = strcmp(name, "auto") == 0, known = any;

	for (unsigned i = 0; board_backends[i]; i++) {
		const struct hc_backend_ops *b = board_backends[i];

		if (!any && strcmp(name, b->name) != 0)
			continue;
		known = true;
		if (usable(b, found))
			return b;
	}
	if (!known)
		hc_error(-ENOENT, "backend = %s: this image has no such backend", name);
	else
		hc_error(-ENODEV, "no backend can run guests on this machine");
	return NULL;
}

/* For the modes that the chosen one cannot run. Without it guests that stay out of them run still.
 */
static const struct hc_backend_ops *choose_complete(struct hc_backend_info *found)
{
	for (unsigned i = 0; board_backends[i]; i++)
		if (board_backends[i] != backend && usable(board_backends[i], found) &&
		    !found->partial)
			return board_backends[i];
	return NULL;
}

static int choose_backends(void)
{
	struct hc_backend_info first, second;

	backend = choose(config.backend, &first);
	if (!backend)
		return -ENODEV;
	if (!config.other[0] && config.switch_ns)
		return hc_error(-EINVAL, "switch-every: wants two backends, as in "
		                         "backend = svm,emu");
	if (config.other[0])
		other = choose(config.other, &second);
	else if (first.partial)
		other = choose_complete(&second);
	spare_boot_cpu = first.spare_boot_cpu || (other && second.spare_boot_cpu);
	return config.other[0] && !other ? -ENODEV : 0;
}

static int enable_on(const struct hc_backend_ops *b, struct hc_cpu *cpu)
{
	int err = b ? b->cpu_enable(cpu) : 0;

	if (err)
		hc_log(HC_LOG_WARN, "cpu %u: backend %s cannot be enabled (%d): it runs no guests",
		       cpu->id, b->name, err);
	return err;
}

static void enable_cpu(struct hc_cpu *cpu)
{
	if (enable_on(backend, cpu))
		return;
	cpu->virt_enabled = !enable_on(other, cpu);
	if (!cpu->virt_enabled)
		backend->cpu_disable(cpu);
}

static void disable_cpu(struct hc_cpu *cpu)
{
	if (cpu->virt_enabled)
		backend->cpu_disable(cpu);
	if (cpu->virt_enabled && other)
		other->cpu_disable(cpu);
	cpu->virt_enabled = false;
}

static bool runs_guests(const struct hc_cpu *cpu)
{
	return cpu->virt_enabled && !(spare_boot_cpu && cpu->id == 0);
}

/* The scheduler knows the CPUs that can run guests, and stops no others. */
static void loop(struct hc_cpu *cpu)
{
	if (runs_guests(cpu))
		hc_sched_loop(cpu);
}

static bool others_are_enabled(void)
{
	struct hc_cpu *cpu;

	for (unsigned i = 1; (cpu = board_cpu(i)); i++)
		if (cpu->virt_enabled)
			return true;
	return false;
}

static int start_backend(void)
{
	struct hc_cpu *cpu;
	int err = choose_backends();

	if (err)
		return err;
	hc_sched_init(NULL);
	board_call_cpus(enable_cpu);
	spare_boot_cpu = spare_boot_cpu && others_are_enabled();
	for (unsigned i = 0; (cpu = board_cpu(i)); i++)
		if (runs_guests(cpu) && hc_sched_add_cpu(cpu))
			return hc_error(-ENOSPC, "cpu %u: the scheduler has no room for it", i);
	if (!hc_sched_cpu_count())
		return hc_error(-ENODEV, "backend %s cannot be enabled on any CPU", backend->name);
	hc_log(HC_LOG_INFO, "backend %s runs guests on %u CPU%s", backend->name,
	       hc_sched_cpu_count(), hc_sched_cpu_count() == 1 ? "" : "s");
	return 0;
}

/* --- How a VM ends --- */

static bool ended_well(const struct board_vm *v)
{
	enum hc_stop_cause cause;

	if (!v->vm || hc_vm_state(v->vm) != HC_VM_STOPPED)
		return false;
	cause = hc_vm_cause(v->vm);
	return cause == HC_STOP_POWEROFF || cause == HC_STOP_EXIT || cause == HC_STOP_REQUEST;
}

static void report(struct board_vm *v)
{
	bool stopped = v->vm && hc_vm_state(v->vm) == HC_VM_STOPPED;

	for (unsigned i = 0; i < 2; i++)
		log_chardev_flush(&v->logs[i]);
	if (v->vm && config.stats)
		hc_vm_log_stats(v->vm);
	hc_log(HC_LOG_INFO, "vm %s: %s: %s", v->config->name, stopped ? "stopped" : "failed",
	       v->vm ? hc_vm_reason(v->vm) : v->problem);
	if (!ended_well(v))
		atomic_store(&all_well, false);
}

/* Told on whichever CPU ended the VM. */
static void vm_changed(struct hc_vm *vm, enum hc_vm_state from, enum hc_vm_state to, void *arg)
{
	if (to != HC_VM_STOPPED && to != HC_VM_FAILED)
		return;
	report(arg);
	if (atomic_fetch_sub(&running, 1) == 1)
		hc_sched_stop();
}

/* --- VMs --- */

/* Keeps the message of the error that was just explained, without the "vm NAME: " that most begin
 * with, for the line that says how the VM ended. */
static int problem(struct board_vm *v, int err)
{
	const char *text = hc_error_last();
	char prefix[40];
	int n = hc_snprintf(prefix, sizeof(prefix), "vm %s: ", v->config->name);

	if (strncmp(text, prefix, (size_t)n) == 0)
		text += n;
	hc_snprintf(v->problem, sizeof(v->problem), "%s", text);
	return err;
}

static const struct module *module_for(struct board_vm *v, const char *key, const char *name)
{
	const struct module *m = modules_find(name);

	if (!m)
		problem(v, hc_error(-ENOENT, "vm %s: %s = %s: there is no such module",
		                    v->config->name, key, name));
	return m;
}

static bool port_is_taken(enum board_serial port, const struct board_vm *by, unsigned index)
{
	for (unsigned i = 0; i < config.vm_count; i++)
		for (unsigned j = 0; j < 2; j++)
			if (&vms[i] == by && j == index)
				return false;
			else if (config.vms[i].serial[j] == port)
				return true;
	return false;
}

static int connect_serial(struct board_vm *v, unsigned index, struct hc_chardev **chr)
{
	enum board_serial port = v->config->serial[index];

	*chr = NULL;
	if (port == BOARD_SERIAL_NONE)
		return 0;
	if (port == BOARD_SERIAL_LOG) {
		log_chardev_init(&v->logs[index], v->config->name);
		*chr = &v->logs[index].chr;
		return 0;
	}
	if (port_is_taken(port, v, index))
		return problem(v, hc_error(-EBUSY,
		                           "vm %s: serial%u = %s: that port has a user already",
		                           v->config->name, index, serial_names[port]));
	*chr = board_serial_chardev(port);
	if (!*chr)
		return problem(v, hc_error(-ENODEV,
		                           "vm %s: serial%u = %s: the machine has no such port",
		                           v->config->name, index, serial_names[port]));
	return 0;
}

static int create_vm(struct board_vm *v)
{
	const struct board_vm_config *c = v->config;
	const struct module *kernel = module_for(v, "kernel", c->kernel);
	const struct module *initrd = c->initrd[0] ? module_for(v, "initrd", c->initrd) : NULL;
	struct machine_config machine = {
		.name = c->name,
		.cpus = c->cpus,
		.memory = c->memory,
		.tsc_hz = c->tsc_hz,
		.small_pages = !c->large_pages,
		.cmdline = c->append,
		.other = other,
		.switch_ns = config.switch_ns,
		.dirty_ns = config.dirty_ns,
		.exit_at = board_guest_exit_at,
		.devices = c->devices,
	};

	if (!kernel || (c->initrd[0] && !initrd))
		return -ENOENT;
	machine.kernel = kernel->data;
	machine.kernel_size = kernel->size;
	if (initrd) {
		machine.initrd = initrd->data;
		machine.initrd_size = initrd->size;
		machine.initrd_name = c->initrd;
	}
	for (unsigned i = 0; i < 2; i++) {
		int err = connect_serial(v, i, &machine.serial[i]);

		if (err)
			return err;
	}
	return problem(v, board_create_guest(&v->vm, backend, &machine));
}

static int start_vm(struct board_vm *v)
{
	int err = create_vm(v);

	if (err)
		return err;
	atomic_fetch_add(&running, 1);
	err = hc_vm_observe(v->vm, vm_changed, v);
	if (!err)
		err = hc_vm_start(v->vm);
	if (err) {
		atomic_fetch_sub(&running, 1);
		hc_vm_destroy(v->vm);
		v->vm = NULL;
		return problem(v,
		               hc_error(err, "vm %s cannot be started (%d)", v->config->name, err));
	}
	return 0;
}

static void run_vms(void)
{
	/* Held by this function until all are started, so that a VM that ends early does not stop
	 * the loops of the others. */
	atomic_store(&running, 1);
	for (unsigned i = 0; i < config.vm_count; i++) {
		vms[i].config = &config.vms[i];
		if (start_vm(&vms[i]))
			report(&vms[i]);
	}
	if (atomic_fetch_sub(&running, 1) > 1)
		board_call_cpus(loop);
}

static bool run(const struct board_boot_info *info)
{
	int err = read_config(info);

	attach_consoles(info);
	hc_log(HC_LOG_INFO, "Hypercore " HC_VERSION ", started by %s", info->loader);
	if (board_machine_start())
		return false;
	board_log_machine();
	if (err || start_backend())
		return false;
	run_vms();
	board_call_cpus(disable_cpu);
	return atomic_load(&all_well);
}

static _Noreturn void end(bool ok)
{
	hc_log(HC_LOG_INFO, "end: %s", ok ? "ok" : "failed");
	board_end(ok);
}

void board_main(const struct board_boot_info *info)
{
	end(run(info));
}

/* There may be no memory to map modules or a framebuffer with. */
void board_fail(const struct board_boot_info *info)
{
	board_config_init(&config);
	(void)board_config_cmdline(&config, info->cmdline);
	board_set_end(config.end);
	attach_port();
	end(false);
}
