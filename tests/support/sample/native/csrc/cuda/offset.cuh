__device__ inline float offset(float value) { return 1.0f + value; }
