/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a Linux kernel in this process: cc embed.c $(pkg-config --cflags --libs hypercore) */
#include <hypercore/hypercore.h>
#include <stdio.h>
#include <stdlib.h>

static char kernel[64 << 20];

static void show(void *arg, const void *data, size_t size)
{
	fwrite(data, 1, size, arg);
}

int main(int argc, char **argv)
{
	FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
	struct hypercore_config config;
	struct hypercore *vm;

	if (!file) {
		fprintf(stderr, "usage: %s KERNEL [COMMAND LINE]\n", argv[0]);
		return 2;
	}
	hypercore_config_init(&config);
	config.kernel = kernel;
	config.kernel_size = fread(kernel, 1, sizeof(kernel), file);
	config.cmdline = argc > 2 ? argv[2] : "console=ttyS0";
	config.memory = 256 << 20;
	config.serial[0].output = show;
	config.serial[0].arg = stdout;
	fclose(file);
	if (hypercore_create(&vm, &config) || hypercore_run(vm))
		return EXIT_FAILURE;
	printf("%s: %s\n", hypercore_backend_of(vm), hypercore_reason(vm));
	hypercore_destroy(vm);
	return EXIT_SUCCESS;
}
