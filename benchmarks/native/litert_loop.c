/* A bare loop around LiteRT's C API: litert_loop LIBRARY MODEL THREADS INPUT

   Input and output are tensor buffers in host memory, made once; one timed inference is one call of
   LiteRtRunCompiledModel on the CPU accelerator (XNNPACK). The wheel brings libLiteRt.so without headers: what is
   used of LiteRT 2.2's headers in litert/c is declared here. Exports are called by name, so that only the two
   structures and the numbers below have to be right; the caller sees by the printed output whether they are. */

#include "timed_loop.h"

enum { OK = 0, CPU = 1, FLOAT32 = 1, INT8 = 9, UINT8 = 3, LOCK_READ = 0, LOCK_WRITE = 1, MAX_RANK = 8 };

typedef struct {
    int element_type;
    struct {
        unsigned int rank : 7, has_strides : 1;
        int32_t dimensions[MAX_RANK];
        uint32_t strides[MAX_RANK];
    } layout;
} TensorType;

typedef struct {
    float scale;
    int64_t zero_point;
} Quantization;

typedef int Status;
typedef void *Handle;

static void *library;
static Handle environment, compiled, input, output;
static Status (*run)(Handle, size_t, size_t, Handle *, size_t, Handle *);

/* Call an export of the library by name; anything but success ends the process. */
#define CALL(name, types, ...)                                                                                        \
    do {                                                                                                              \
        Status status = ((Status(*) types)symbol(library, #name))(__VA_ARGS__);                                       \
        if (status != OK) {                                                                                           \
            char code[16];                                                                                            \
            snprintf(code, sizeof code, "status %d", status);                                                         \
            die(#name, code);                                                                                         \
        }                                                                                                             \
    } while (0)

static void infer(void)
{
    if (__builtin_expect(run(compiled, 0, 1, &input, 1, &output) != OK, 0))
        die("LiteRtRunCompiledModel", "failed");
}

/* Compile for the CPU. Its only thread setting is hidden in options that need C++; the default is 1. */
static Handle compile(const char *path)
{
    Handle model, options;
    CALL(LiteRtCreateEnvironment, (int, const void *, Handle *), 0, NULL, &environment);
    CALL(LiteRtCreateModelFromFile, (Handle, const char *, Handle *), environment, path, &model);
    CALL(LiteRtCreateOptions, (Handle *), &options);
    CALL(LiteRtSetOptionsHardwareAccelerators, (Handle, int), options, CPU);
    CALL(LiteRtCreateCompiledModel, (Handle, Handle, Handle, Handle *), environment, model, options, &compiled);
    return model;
}

static Handle signature_of(Handle model)
{
    Handle signature;
    size_t inputs = 0, outputs = 0;
    CALL(LiteRtGetModelSignature, (Handle, size_t, Handle *), model, 0, &signature);
    CALL(LiteRtGetNumSignatureInputs, (Handle, size_t *), signature, &inputs);
    CALL(LiteRtGetNumSignatureOutputs, (Handle, size_t *), signature, &outputs);
    if (inputs != 1 || outputs != 1)
        die("model", "this loop drives models of one input and one output");
    return signature;
}

static Handle buffer(Handle tensor, Handle requirements, TensorType *type)
{
    Handle made;
    CALL(LiteRtGetRankedTensorType, (Handle, TensorType *), tensor, type);
    CALL(LiteRtCreateManagedTensorBufferFromRequirements, (Handle, const TensorType *, Handle, Handle *), environment,
         type, requirements, &made);
    return made;
}

static size_t elements(const TensorType *type)
{
    size_t count = 1;
    if (type->layout.rank > MAX_RANK)
        die("LiteRtRankedTensorType", "not the structure that is expected");
    for (unsigned i = 0; i < type->layout.rank; i++)
        count *= (size_t)(type->layout.dimensions[i] > 0 ? type->layout.dimensions[i] : 1);
    return count;
}

static size_t element_bytes(const TensorType *type)
{
    if (type->element_type == FLOAT32)
        return 4;
    if (type->element_type == INT8 || type->element_type == UINT8)
        return 1;
    die("tensor", "this loop knows float32, int8 and uint8");
    return 0;
}

static void make_input(Handle signature, const char *path)
{
    Handle tensor, requirements;
    TensorType type;
    void *data;
    CALL(LiteRtGetSignatureInputTensorByIndex, (Handle, size_t, Handle *), signature, 0, &tensor);
    CALL(LiteRtGetCompiledModelInputBufferRequirements, (Handle, size_t, size_t, Handle *), compiled, 0, 0,
         &requirements);
    input = buffer(tensor, requirements, &type);
    CALL(LiteRtLockTensorBuffer, (Handle, void **, int), input, &data, LOCK_WRITE);
    read_input(path, data, elements(&type) * element_bytes(&type));
    CALL(LiteRtUnlockTensorBuffer, (Handle), input);
}

static TensorType make_output(Handle signature, Quantization *quantization)
{
    Handle tensor, requirements;
    TensorType type;
    CALL(LiteRtGetSignatureOutputTensorByIndex, (Handle, size_t, Handle *), signature, 0, &tensor);
    CALL(LiteRtGetCompiledModelOutputBufferRequirements, (Handle, size_t, size_t, Handle *), compiled, 0, 0,
         &requirements);
    output = buffer(tensor, requirements, &type);
    if (type.element_type != FLOAT32)
        CALL(LiteRtGetPerTensorQuantization, (Handle, Quantization *), tensor, quantization);
    return type;
}

static void print_ready(const TensorType *type, const Quantization *quantization)
{
    void *data;
    infer();
    CALL(LiteRtLockTensorBuffer, (Handle, void **, int), output, &data, LOCK_READ);
    printf("ready -");
    for (size_t i = 0; i < elements(type); i++) {
        if (type->element_type == FLOAT32) {
            printf(" %.9g", ((float *)data)[i]);
        } else {
            int stored = type->element_type == INT8 ? ((int8_t *)data)[i] : ((uint8_t *)data)[i];
            printf(" %.9g", (double)(stored - quantization->zero_point) * quantization->scale);
        }
    }
    printf("\n");
    CALL(LiteRtUnlockTensorBuffer, (Handle), output);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage", "litert_loop LIBRARY MODEL THREADS INPUT");
    if (atoi(argv[3]) != 1)
        die("THREADS", "only 1 can be had through LiteRT's C API");
    library = open_library(argv[1]);
    run = (Status(*)(Handle, size_t, size_t, Handle *, size_t, Handle *))symbol(library, "LiteRtRunCompiledModel");
    Handle signature = signature_of(compile(argv[2]));
    make_input(signature, argv[4]);
    Quantization quantization;
    TensorType type = make_output(signature, &quantization);
    print_ready(&type, &quantization);
    serve(infer);
    return 0;
}
