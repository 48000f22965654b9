#!/usr/bin/env bash
# Forty images, a lifecycle policy, and which of them go and why. With aws and docker; what AWS cannot say, longshore says.
#
#   LONGSHORE_…     go to `longshore up`: LONGSHORE_DATA_DIR, LONGSHORE_PORT, LONGSHORE_REGION
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/../../.venv/bin:$PATH:/usr/sbin"
export AWS_PAGER=
cluster=default
name=demo/lifecycle

# shellcheck source=examples/talk.sh
. "$here/../talk.sh"

# --- what is asked more than once -----------------------------------------------------------------------------------
# Digest and tags of the images that are there.
images() {
    aws ecr describe-images --repository-name "$name" --output text \
        --query 'sort_by(imageDetails, &imagePushedAt)[].[imageDigest, join(`,`, not_null(imageTags, `[]`))]'
}

# --- 1 --------------------------------------------------------------------------------------------------------------
for program in longshore aws docker tar; do
    command -v "$program" >/dev/null || fail "the program '$program' is not here" "make setup installs what is missing"
done
[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 ||
    fail "the images are built around a static busybox, and /bin/busybox is none" "apt-get install busybox-static"

step "The platform"
if longshore status >/dev/null 2>&1; then
    say "It runs already."
else
    run longshore up --detach --instances 1
fi
say '$ eval "$(longshore env)"'
settings=$(longshore env)
eval "$settings"
old_tasks=$(aws ecs list-tasks --cluster "$cluster" --family demo-lifecycle --query 'taskArns' --output text 2>/dev/null || true)
for task in $old_tasks; do
    [ "$task" = None ] || aws ecs stop-task --cluster "$cluster" --task "$task" >/dev/null
done
aws ecr delete-repository --repository-name "$name" --force >/dev/null 2>&1 || true # of the last time
repository=$(run aws ecr create-repository --repository-name "$name" --query 'repository.repositoryUri' --output text)
say "repository: $repository"
aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}" 2>/dev/null | sed 's/^/   /'

# --- 2 --------------------------------------------------------------------------------------------------------------
step "Push forty images: 18 releases, 15 of pull requests, and 7 nights of which only the last has the tag"
base=$(tar -c -C / bin/busybox | docker import --change 'ENTRYPOINT ["/bin/busybox"]' - "$repository:base")
built=()
container=$(docker create "$repository:base" true)
trap 'docker rm "$container" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
push() { # TAG: one more image, told from the others by a label
    built+=("$(docker commit --change "LABEL build=$pushed" "$container" "$repository:$1")")
    docker push --quiet "$repository:$1" >/dev/null
    pushed=$((pushed + 1))
}
pushed=0
say "\$ docker push $repository:v01 … v18, pr-01 … pr-15, nightly (seven times)"
for number in $(seq -w 1 18); do push "v$number"; done
for number in $(seq -w 1 15); do push "pr-$number"; done
for _ in $(seq 7); do push nightly; done
images >"$work/before"
say "$(wc -l <"$work/before") images, $(awk '$2 == ""' "$work/before" | wc -l) of them without a tag by now"
[ "$(wc -l <"$work/before")" = 40 ] || fail "there should be forty images"
docker rm "$container" >/dev/null
docker rmi --force "${built[@]}" "$base" >/dev/null

# --- 3 --------------------------------------------------------------------------------------------------------------
step "Somebody runs an old release"
definition=$(aws ecs register-task-definition --family demo-lifecycle --query 'taskDefinition.taskDefinitionArn' --output text \
    --container-definitions "[{\"name\": \"app\", \"image\": \"$repository:v02\", \"memory\": 16, \"stopTimeout\": 2, \"command\": [\"sleep\", \"3600\"]}]")
instances_ready() { [ "$(aws ecs list-container-instances --cluster "$cluster" --query 'length(containerInstanceArns)' --output text)" -ge 1 ]; }
until_true 30 "a container instance" instances_ready
task=$(run aws ecs run-task --cluster "$cluster" --task-definition "${definition##*/}" --query 'tasks[0].taskArn' --output text)
running() { [ "$(aws ecs describe-tasks --cluster "$cluster" --tasks "$task" --query 'tasks[0].lastStatus' --output text)" = RUNNING ]; }
until_true 60 "the task to run" running
say "task ${task##*/} runs v02"

# --- 4 --------------------------------------------------------------------------------------------------------------
step "A preview: what the policy would do"
run aws ecr start-lifecycle-policy-preview --repository-name "$name" --lifecycle-policy-text "file://$here/policy.json" \
    --query status --output text | sed 's/^/   /'
run aws ecr wait lifecycle-policy-preview-complete --repository-name "$name"
run aws ecr get-lifecycle-policy-preview --repository-name "$name" --query 'summary.expiringImageTotalCount' --output text | sed 's/^/   /'
say "and what AWS cannot tell: who uses what would go, what stays and why, and what the next months bring"
run longshore ecr preview "$name" --policy "$here/policy.json" --days 90 | sed 's/^/   /'

# --- 5 --------------------------------------------------------------------------------------------------------------
step "Keep what is in use, then put the policy"
run longshore ecr settings "$name" --keep-in-use | sed 's/^/   /'
aws ecr start-lifecycle-policy-preview --repository-name "$name" --lifecycle-policy-text "file://$here/policy.json" >/dev/null
aws ecr wait lifecycle-policy-preview-complete --repository-name "$name"
aws ecr get-lifecycle-policy-preview --repository-name "$name" --query 'previewResults[].imageDigest' --output text | tr '\t' '\n' | sort >"$work/previewed"
say "a preview says now: $(wc -l <"$work/previewed") images"
run aws ecr put-lifecycle-policy --repository-name "$name" --lifecycle-policy-text "file://$here/policy.json" \
    --query 'repositoryName' --output text | sed 's/^/   /'
applied() { [ "$(aws ecr get-lifecycle-policy --repository-name "$name" --query 'lastEvaluatedAt' --output text)" != None ]; }
until_true 60 "the policy to be applied" applied

# --- 6 --------------------------------------------------------------------------------------------------------------
step "What is gone, and what is left"
images >"$work/after"
cut -f 1 "$work/before" | sort >"$work/before.digests"
cut -f 1 "$work/after" | sort | comm -23 "$work/before.digests" - >"$work/gone"
say "$(wc -l <"$work/gone") images are gone, $(wc -l <"$work/after") are left: $(cut -f 2 "$work/after" | sed 's/^$/(untagged)/' | tr '\n' ' ')"
cmp -s "$work/gone" "$work/previewed" || fail "other images went than the preview said"
say "they are exactly those that the preview named"
say "the last to go, and by which rule:"
run longshore ecr events "$name" -n 6 | sed 's/^/   /'
grep -q 'v02' "$work/after" || fail "v02 is in use and should have been kept"
run docker pull --quiet "$repository:v02" | sed 's/^/   /'
docker pull --quiet "$repository:v01" >/dev/null 2>"$work/refused" && fail "v01 should be gone"
say "v01: $(tail -n 1 "$work/refused")"

# --- 7 --------------------------------------------------------------------------------------------------------------
run aws ecs stop-task --cluster "$cluster" --task "$task" --query 'task.desiredStatus' --output text >/dev/null
docker rmi --force "$repository:v02" >/dev/null 2>&1 || true
cat <<END

${bold}What to try next${plain}
   longshore ecr preview $name --days 90       as it is now
   longshore ecr preview $name --policy FILE   another policy
   longshore ecr events --follow                         what happens, as it happens
   aws ecr describe-images --repository-name $name
   make down                                             stop everything
END
