# Two commands are all a newcomer types: `make demo` and `make test`.
# Both make the virtual environment they need; nothing outside this folder is touched.
PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
TRITON := .venv/triton/.ready
MOTO   := .venv/moto/.ready
PHOTOS := $(addprefix runtime/samples/,astronaut.png chelsea.png coffee.png)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu lint format picture records presets preset-times plan-records triton-record cluster-record tables clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# torch goes first and pinned: anything looser lets the resolver pull gigabytes of CUDA libraries.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,export,text,hub,ray,page,train,bench,dev]'
	@touch $(READY)

# A Triton Inference Server for tests, 0.3 GB. Where there is none for this machine, they are skipped and say so.
INSTALL_TRITON := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .venv/triton
$(TRITON): tests/support/triton_server/requirements-clients.txt tests/support/triton_server/requirements-server.txt | $(READY)
	@$(INSTALL_TRITON) -r tests/support/triton_server/requirements-clients.txt \
	  && $(INSTALL_TRITON)/server -r tests/support/triton_server/requirements-server.txt \
	  || { rm -rf .venv/triton; echo "no Triton Inference Server for this machine: its tests are skipped"; }
	@mkdir -p .venv/triton && touch $@

# A stand-in of S3 for slow tests, with packages that are its own; where it cannot be had, they are skipped.
$(MOTO): tests/support/s3/requirements.txt | $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .venv/moto -r $< \
	  || { rm -rf .venv/moto; echo "no stand-in of S3 for this machine: its tests are skipped"; }
	@mkdir -p .venv/moto && touch $@

setup: $(READY)  ## make the virtual environment (.venv)

demo: $(READY)  ## restore three photographs with the built-in model: pictures and a table in demo/
	$(BIN)/dit4sr-export --precision fp16 --output demo/bundle --force
	$(BIN)/dit4sr-upscale $(PHOTOS) --output demo/restored --model demo/bundle --force --json demo/records.jsonl
	$(BIN)/python -m dit4sr.bench.showcase demo
	$(BIN)/dit4sr-bench demo/bundle --baseline none --cold 1 --runs 3 --min-time 1 --html demo/bench.html --force

test: lint $(TRITON)  ## lint, types, contracts and the whole test suite
	$(BIN)/pytest -q -n 2 --dist worksteal

test-slow: $(READY) $(TRITON) $(MOTO)  ## the tests that take minutes or gigabytes
	$(BIN)/pytest -q -m slow

test-gpu: $(READY)  ## the tests that need a CUDA device; they fail where there is none
	$(BIN)/pytest -q -m gpu

lint: $(READY)  ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

picture: $(READY)  ## make README's picture and the page's anew; the page's needs Chromium
	mkdir -p demo
	$(BIN)/dit4sr-upscale $(PHOTOS) --output demo/restored --seed 0 --force --json demo/records.jsonl
	$(BIN)/python -m dit4sr.bench.showcase demo --before-and-after docs/restored.jpg
	PYTHONPATH=tests $(BIN)/python -m support.page_picture docs/page.jpg

records: $(READY)  ## measure anew what the tables say: on a quiet machine, about ten minutes
	$(BIN)/dit4sr-export --precision fp32 --output demo/bundle-fp32 --force
	$(BIN)/dit4sr-bench --reference demo/bundle-fp32 --baseline eager,plain \
	  --json bench/results/tiny-fp16-cpu.json --html demo/tiny-fp16-cpu.html --force
	$(BIN)/dit4sr-bench demo/bundle-fp32 --checkpoint export/tiny/checkpoint --baseline eager,compile,plain \
	  --ablate folds,prepare,inject,attention,graph \
	  --json bench/results/tiny-fp32-cpu.json --html demo/tiny-fp32-cpu.html --force
	$(MAKE) tables

presets: $(READY)  ## find dit4sr-tiny's presets anew: an hour of two cores, less where it was stopped
	$(BIN)/dit4sr-export --precision fp16 --output demo/bundle --force
	$(BIN)/python -m dit4sr.export.tiny.data.schedule_photos demo/photos
	$(BIN)/dit4sr-calibrate demo/bundle --schedule --steps 40 --guidance 1.1 --images demo/photos/search \
	  --held-out demo/photos/judged --json bench/results/schedules-tiny.json --force
	$(BIN)/python -m dit4sr.export.tiny.presets demo/bundle
	$(BIN)/python -m dit4sr.calibrate.schedules bench/results/schedules-tiny.json \
	  --page docs/schedules.md --plot docs/schedules.svg

preset-times: $(READY)  ## time dit4sr-tiny's presets anew: on a quiet machine, about five minutes
	$(BIN)/python -m dit4sr.calibrate.schedules bench/results/schedules-tiny.json --time runtime/tiny \
	  --page docs/schedules.md --plot docs/schedules.svg

plan-records: $(READY)  ## compile the full-size networks anew, in FP16 and FP8: without a GPU, minutes and 17 GB
	$(BIN)/dit4sr-export --random-weights 0 --precision fp16 --no-verify --output demo/full-size --force
	$(BIN)/dit4sr-bench demo/full-size --plan --json bench/results/plan-full-fp16.json --force
	$(BIN)/dit4sr-bench demo/full-size --plan --as-fp8 --json bench/results/plan-full-fp8.json --force
	$(BIN)/dit4sr-export --system sd3-controlnet --random-weights 0 --no-verify --output demo/full-size-sd3-controlnet --force
	$(BIN)/dit4sr-bench demo/full-size-sd3-controlnet --plan --baseline none \
	  --json bench/results/plan-full-sd3-controlnet-fp16.json --force
	$(BIN)/dit4sr-export --system dpir --random-weights 0 --no-verify --components image_clip,prepare,step \
	  --output demo/full-size-dpir --force
	$(BIN)/dit4sr-bench demo/full-size-dpir --plan --baseline none --json bench/results/plan-full-dpir-fp16.json --force
	$(MAKE) tables

triton-record: $(READY) $(TRITON)  ## measure the service anew beside the library: on a quiet machine, about five minutes
	PYTHONPATH=tests $(BIN)/python -m support.triton_server.load bench/results/triton-cpu.json

cluster-record: $(READY)  ## measure a job over a cluster anew: on a quiet machine, about twenty minutes
	$(BIN)/python -m dit4sr.bench.cluster bench/results/ray-cpu.json
	$(BIN)/python -m dit4sr.bench.cluster.page bench/results/ray-cpu.json docs/cluster.md
	$(BIN)/python -m dit4sr.bench.cluster.forecast --page docs/cluster.md

tables: $(READY)  ## write README's tables anew from the records in bench/results/
	$(BIN)/python -m dit4sr.bench.report.tables README.md docs/bench.md docs/systems.md

clean:  ## remove everything that was made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo
