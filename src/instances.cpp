// The library feaug::instances: the templates that feaug/instances.hpp lists, compiled.
#define FEAUG_INSTANCES_DEFINED
#include "feaug/instances.hpp"
