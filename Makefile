# Every target does the set-up that it needs; a second run of the set-up needs no network.
#
#   SERVER_IMAGE=x   the image whose redis-server is tested (default: an official, pinned Redis 8)
#   PULL=1           ask the registry again, although an image built from Debian packages is there
#   INVENTORY=file   gate that cluster instead of a simulated one, read-only
#   FAULTS=name      with INVENTORY, whose redis_cluster_name it must be: kill servers there, one host at a time
#   WORKERS=4        clusters at a time
#   ARGS='-k kill'   further arguments to pytest
#   PYTHON=path      the Python to make the environment with (default: the first that is new enough)

WORKERS ?= 4
# One test at a time to whoever is free: most of their time they wait for node timeouts.
PARALLEL := -n $(WORKERS) --dist load --maxschedchunk 1
# Of the playbook whole modules go to one worker: their tests share hosts that take long to build.
GROUPED := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
VENV := .venv/bin
GATE := tests/hosts tests/topology tests/redirection tests/placement tests/failover
IMAGE := $(if $(SERVER_IMAGE),--server-image '$(SERVER_IMAGE)')

.DEFAULT_GOAL := help
.PHONY: help environment setup ansible gate test test-all lint format bench clean lock

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

environment:
	@sh provisioning/setup/environment.sh

setup: environment  ## Python environment, Docker engine and images; the second run changes nothing
	@$(VENV)/python -m provisioning.setup $(IMAGE) $(if $(PULL),--pull)

ifneq ($(origin INVENTORY),undefined)
gate: environment  ## the main job: accept or reject a cluster (INVENTORY=file: that one, read-only but for FAULTS=name)
	@test -n '$(INVENTORY)' || { printf '%s\n' 'INVENTORY is empty' '  expected: the file that describes the cluster' \
	  '  what to do: make gate INVENTORY=file, or unset INVENTORY to gate a simulated cluster' >&2; exit 1; }
	$(VENV)/pytest --inventory '$(INVENTORY)' $(if $(filter-out undefined,$(origin FAULTS)),--allow-faults '$(FAULTS)') \
	  -m "(real_faults or not destructive) and not slow" $(GATE) $(ARGS)
else ifneq ($(origin FAULTS),undefined)
gate:
	@printf '%s\n' 'FAULTS needs INVENTORY' '  expected: INVENTORY=file, the hosts on which servers may be killed' \
	  '  what to do: make gate INVENTORY=file FAULTS=name, or unset FAULTS to gate a simulated cluster' >&2; exit 1
else
gate: setup
	$(VENV)/pytest $(PARALLEL) $(IMAGE) -m "not slow" $(GATE) $(ARGS)
endif

test: setup lint  ## lint, types and every test that is not slow
	$(VENV)/pytest $(PARALLEL) $(IMAGE) -m "not slow" $(ARGS)

test-all: setup lint  ## the same with the slow ones, and then those of the playbook (report/playbook)
	$(VENV)/pytest $(PARALLEL) $(IMAGE) -m "not (playbook and slow)" $(ARGS)
	$(VENV)/pytest $(GROUPED) $(IMAGE) -m "playbook and slow" --report report/playbook tests/playbook $(ARGS) || [ $$? = 5 ]

ansible: environment  ## what real hosts need: Ansible in the same environment (ansible.lock), an SSH client
	@sh provisioning/setup/ansible.sh

lint: ansible  ## ruff, mypy, yamllint and ansible-lint
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/yamllint --strict .
	$(VENV)/ansible-playbook --syntax-check -i provisioning/inventory.yaml provisioning/playbook.yaml provisioning/teardown.yaml
	$(VENV)/ansible-lint -q provisioning/playbook.yaml provisioning/teardown.yaml provisioning/roles

format: environment  ## let ruff mend and format
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

bench: setup  ## formation against the usual recipe, and judging at scale: report/bench.json
	$(VENV)/python -m provisioning.bench $(ARGS)
	$(VENV)/python -m fixtures.rules.scale $(ARGS)

clean: environment  ## remove every object of ours that no running run owns
	$(VENV)/python -m provisioning clean

lock:  ## compute requirements.lock and ansible.lock anew from pyproject.toml
	@sh provisioning/setup/lock.sh
