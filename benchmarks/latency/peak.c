/* What the machine can do at best: multiply-adds in registers, and reading memory in order.
   Built without a C library. LANES: floats in a vector register; CHAINS: independent sums. */

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4)));

float multiply_adds(long rounds, float start) {
  vector sums[CHAINS];
  vector factor, term;
  for (int lane = 0; lane < LANES; lane++) {
    factor[lane] = 0.5f;
    term[lane] = start;
  }
#pragma clang loop unroll(full)
  for (int chain = 0; chain < CHAINS; chain++) sums[chain] = term * (float)(chain + 1);
  for (long round = 0; round < rounds; round++) {
#pragma clang loop unroll(full)
    for (int chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * factor + term;
  }
  float total = 0;
#pragma clang loop unroll(full)
  for (int chain = 0; chain < CHAINS; chain++)
    for (int lane = 0; lane < LANES; lane++) total += sums[chain][lane];
  return total;
}

float read_floats(const float *data, long vectors, long rounds) {
  vector sums[8] = {0};
  for (long round = 0; round < rounds; round++) {
    for (long index = 0; index + 8 <= vectors; index += 8) {
#pragma clang loop unroll(full)
      for (int chain = 0; chain < 8; chain++)
        sums[chain] += *(const vector *)(data + (index + chain) * LANES);
    }
    __asm__ volatile("" ::: "memory");
  }
  float total = 0;
  for (int chain = 0; chain < 8; chain++)
    for (int lane = 0; lane < LANES; lane++) total += sums[chain][lane];
  return total;
}
