//! Schedules, as every release of Prefect wrote them.

use super::*;

#[test]
fn schedules_of_every_age() {
    let schedules = |arguments: &str| {
        let source = format!(
            "from datetime import timedelta, datetime, timezone\nfrom zoneinfo import ZoneInfo\nimport pendulum\nfrom prefect.schedules import Cron, Interval, RRule, Schedule\nfrom prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule\nfrom prefect.client.schemas.actions import DeploymentScheduleCreate\nfrom prefect.client.schemas.objects import MinimalDeploymentSchedule\nfrom flow import my_flow\nmy_flow.deploy('x', work_pool_name='w', {arguments})\n"
        );
        good(&source)[0]["schedules"].clone()
    };
    for (arguments, expected) in [
        ("cron='0 4 * * *'", json!([{"cron": "0 4 * * *"}])),
        (
            "cron=['0 4 * * *', '0 5 * * *']",
            json!([{"cron": "0 4 * * *"}, {"cron": "0 5 * * *"}]),
        ),
        ("interval=3600", json!([{"interval": 3600}])),
        (
            "interval=timedelta(minutes=90)",
            json!([{"interval": 5400}]),
        ),
        (
            "interval=[60, timedelta(days=1)]",
            json!([{"interval": 60}, {"interval": 86400}]),
        ),
        ("rrule='FREQ=DAILY'", json!([{"rrule": "FREQ=DAILY"}])),
        (
            "schedule=CronSchedule(cron='@daily', timezone='UTC', day_or=False)",
            json!([{"cron": "@daily", "timezone": "UTC", "day_or": false}]),
        ),
        (
            "schedules=[Cron('0 6 * * 1', timezone='Europe/Oslo', active=False, slug='mon', parameters={'n': 3})]",
            json!([{"cron": "0 6 * * 1", "timezone": "Europe/Oslo", "active": false, "slug": "mon", "parameters": {"n": 3}}]),
        ),
        (
            "schedule=Interval(timedelta(hours=2), anchor_date=datetime(2024, 1, 1, 6, tzinfo=timezone.utc))",
            json!([{"interval": 7200, "anchor_date": "2024-01-01T06:00:00Z"}]),
        ),
        (
            "schedule=IntervalSchedule(interval=timedelta(hours=2), anchor_date=pendulum.datetime(2024, 7, 1, 6, tz='Europe/Oslo'))",
            json!([{"interval": 7200, "timezone": "Europe/Oslo", "anchor_date": "2024-07-01T06:00:00+02:00"}]),
        ),
        (
            "schedule=IntervalSchedule(interval=60, anchor_date=datetime(2024, 7, 1, tzinfo=ZoneInfo('Europe/Oslo')), timezone='UTC')",
            json!([{"interval": 60, "anchor_date": "2024-07-01T00:00:00+02:00", "timezone": "UTC"}]),
        ),
        (
            "schedules=[Cron('0 6 * * 1', 'Europe/Oslo', False), RRule('FREQ=DAILY', 'UTC', False)]",
            json!([
                {"cron": "0 6 * * 1", "timezone": "Europe/Oslo", "day_or": false},
                {"rrule": "FREQ=DAILY", "timezone": "UTC", "active": false},
            ]),
        ),
        (
            "schedules=[RRule('FREQ=WEEKLY', timezone='UTC'), RRuleSchedule(rrule='FREQ=DAILY')]",
            json!([{"rrule": "FREQ=WEEKLY", "timezone": "UTC"}, {"rrule": "FREQ=DAILY"}]),
        ),
        (
            "schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron='1 * * * *'), active=False)]",
            json!([{"cron": "1 * * * *", "active": false}]),
        ),
        (
            "schedules=[MinimalDeploymentSchedule(schedule=IntervalSchedule(interval=60), active=True)]",
            json!([{"interval": 60, "active": true}]),
        ),
        (
            "schedules=[(CronSchedule(cron='1 * * * *'), False), {'schedule': {'cron': '2 * * * *'}, 'active': True}, {'cron': '3 * * * *'}]",
            json!([{"cron": "1 * * * *", "active": false}, {"cron": "2 * * * *", "active": true}, {"cron": "3 * * * *"}]),
        ),
        ("schedules=[]", json!([])),
        ("schedule=None", json!(null)),
    ] {
        assert_eq!(schedules(arguments), expected, "{arguments}");
    }
}
