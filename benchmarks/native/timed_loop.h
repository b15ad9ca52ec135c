/* What both loops share: the input from a file, one "ready" line, then one line of latencies per request.

   stdout: ready VERSION OUTPUT...       the first output for the given input, so that the caller can compare
   stdin:  COUNT                         stdout: COUNT latencies in ns, each one inference, CLOCK_MONOTONIC

   In between the process sleeps in fgets(). */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void *open_library(const char *path)
{
    /* By its full path: the file's SONAME is another name, which the loader would not find. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        die("dlopen", dlerror());
    return library;
}

static void *symbol(void *library, const char *name)
{
    void *address = dlsym(library, name);
    if (!address)
        die("dlsym", dlerror());
    return address;
}

static void read_input(const char *path, void *destination, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path, "cannot be opened");
    if (fread(destination, 1, size, file) != size || fgetc(file) != EOF)
        die(path, "has not the size of the model's input");
    fclose(file);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Answer requests until stdin ends. `infer` ends the process itself when an inference fails. */
static void serve(void (*infer)(void))
{
    char line[32];
    while (fgets(line, sizeof line, stdin)) {
        long count = atol(line);
        int64_t *values = malloc((size_t)count * sizeof *values);
        if (count <= 0 || !values)
            die("request", line);
        for (long i = 0; i < count; i++) {
            int64_t before = now_ns();
            infer();
            values[i] = now_ns() - before;
        }
        for (long i = 0; i < count; i++)
            printf("%lld%c", (long long)values[i], i + 1 < count ? ' ' : '\n');
        fflush(stdout);
        free(values);
    }
}
