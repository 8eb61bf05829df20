__device__ inline float scale(float value) { return 2.0f * value; }
