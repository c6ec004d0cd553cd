# make up      installs what is missing, builds, builds the guest images, brings up the workshop's nest
# make check   installs what the tests need, runs all of them
# make bench   measures (docs/benchmarks.md says what)
# make build   builds build/ireko
.PHONY: up check bench build install-build

up: build
	@scripts/install-packages run
	build/ireko image build
	build/ireko up examples/workshop

build: install-build
	@test -f build/build.ninja || meson setup build >/dev/null
	@ninja -C build --quiet

install-build:
	@scripts/install-packages build

check: build
	@scripts/install-packages run check
	@scripts/check

bench: build
	@scripts/install-packages run check bench
	@scripts/bench
	@scripts/bench-labs
